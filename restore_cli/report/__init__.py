"""Results as values, and their output as files."""
