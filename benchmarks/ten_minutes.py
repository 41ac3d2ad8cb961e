"""Trains each architecture for ten minutes on one thread and prints what it gained on held-out
images.

    python benchmarks/ten_minutes.py --data DATA [--out FOLDER] [NAME ...]

The recipes are those of ten_minutes.toml; DATA holds the folders that they name (docs/training.md).
Printed is a row of Markdown for each: network, parameters, task and level, PSNR of the damaged and
the restored images by the task's protocol, steps, minutes.
"""

from __future__ import annotations

import argparse
import tempfile
import tomllib
from pathlib import Path

import torch

from restore_cli.training.loop import train
from restore_cli.training.network_input import label
from restore_cli.training.recipe import Recipe
from restore_cli.training.request import Request
from restore_cli.training.start import make_network


def main() -> None:
    """Train, one after the other."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, help="keep the checkpoints there")
    parser.add_argument("--minutes", type=float)
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    torch.set_num_threads(1)
    table = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
    common = {key: value for key, value in table.items() if not isinstance(value, dict)}
    if options.minutes:
        common["minutes"] = options.minutes
    with tempfile.TemporaryDirectory() as folder:
        for name in options.names or table.keys() - common.keys():
            recipe = Recipe.parse(common | table[name])
            out = (options.out or Path(folder)) / f"{name}.safetensors"
            *_, last = train(Request(recipe, options.data, out, "cpu"))
            print(
                f"| {name} | {sum(p.numel() for p in make_network(recipe).parameters()):,} |"
                f" {recipe.task}"
                f" {label(recipe.validation[0])} | {last.inputs[0]:.2f} | {last.scores[0]:.2f} |"
                f" {last.scores[0] - last.inputs[0]:+.2f} | {last.step} | {last.seconds / 60:.1f}"
                " |",
                flush=True,
            )


if __name__ == "__main__":
    main()
