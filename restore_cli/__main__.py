"""`python -m restore_cli`, for where the `restore` script is not on the path."""

from restore_cli.cli import main

main()
