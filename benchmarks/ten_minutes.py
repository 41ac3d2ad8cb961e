"""Trains each architecture for ten minutes on one thread, and prints the gain on held-out images.

    python benchmarks/ten_minutes.py --data DATA [--out FOLDER] [NAME ...]

The recipes are in ten_minutes.toml; DATA contains their folders (see docs/training.md). The script
prints one Markdown row per network: name, parameters, task and level, PSNR of the degraded and of
the restored images by the task's protocol, gain, steps, minutes.
"""

from __future__ import annotations

import argparse
import tempfile
import tomllib
from pathlib import Path

import torch

from restore_cli.levels import describe
from restore_cli.training.loop import train
from restore_cli.training.recipe import Recipe
from restore_cli.training.request import Request
from restore_cli.training.start import make_network


def main() -> None:
    """Train the networks one after the other."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, help="folder to keep the checkpoints in")
    parser.add_argument("--minutes", type=float)
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    torch.set_num_threads(1)
    table = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
    common = {key: value for key, value in table.items() if not isinstance(value, dict)}
    if options.minutes:
        common["minutes"] = options.minutes
    known = [name for name in table if name not in common]
    if unknown := set(options.names) - set(known):
        parser.error(f"unknown: {', '.join(unknown)}; expected {', '.join(known)}")
    with tempfile.TemporaryDirectory() as folder:
        for name in options.names or known:
            recipe = Recipe.parse(common | table[name])
            out = (options.out or Path(folder)) / f"{name}.safetensors"
            *_, last = train(Request(recipe, options.data, out, "cpu"))
            before, after = last.inputs[0], last.scores[0]
            cells = (
                name,
                f"{sum(p.numel() for p in make_network(recipe).parameters()):,}",
                f"{recipe.task} {describe(recipe.validation[0])}",
                f"{before:.2f}",
                f"{after:.2f}",
                f"{after - before:+.2f}",
                f"{last.step}",
                f"{last.seconds / 60:.1f}",
            )
            print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
