"""Give `restore` thousands of damaged and hostile pictures, checkpoints, recipes and states of
trainings.

    python scripts/fuzz.py --cases 10000 --seed 7 --keep faults/

Ends with 1 if an answer was wrong; the files that got one are kept, named by their seeds.
"""

from __future__ import annotations

import argparse
import faulthandler
import importlib
import os
import resource
import shutil
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

MEMORY = 2 * 2**30  # bytes that the process may take at its peak
PATIENCE = 480  # seconds after which a hang that no signal ends is ended with a traceback
KINDS = ("pictures", "checkpoints")


def main() -> int:
    """Run the cases of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--cases", type=int, default=100, help="how many of each kind (default 100)"
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="of the first case; each next one has the next"
    )
    parser.add_argument(
        "--what", choices=[*KINDS, "all"], default="all", help="what is damaged (default all)"
    )
    parser.add_argument(
        "--minutes", type=float, default=float("inf"), help="end sooner, after so many"
    )
    parser.add_argument("--keep", type=Path, help="folder for the files of wrong answers")
    asked = parser.parse_args()

    warnings.simplefilter("error")
    resource.setrlimit(resource.RLIMIT_AS, (4 * MEMORY, 4 * MEMORY))  # ends a bomb, not the machine
    wrong = sum(fuzz(kind, asked) for kind in KINDS if asked.what in (kind, "all"))
    status = Path("/proc/self/status").read_text(
        encoding="utf-8"
    )  # ru_maxrss begins at the parent's
    peak = int(status.partition("VmHWM:")[2].split()[0]) * 1024
    print(f"peak memory {peak / 1e6:.0f} MB{', which is too much' if peak > MEMORY else ''}")
    return int(wrong > 0 or peak > MEMORY)


def fuzz(kind: str, asked: argparse.Namespace) -> int:
    """Run the cases of a kind; returns how many went wrong."""
    cases = importlib.import_module(f"fuzz_{kind}")
    started, wrong, outcomes = time.monotonic(), 0, Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        seeds = cases.plant(Path(folder))
        for seed in range(asked.seed, asked.seed + asked.cases):
            if time.monotonic() - started > 60 * asked.minutes:
                break
            faulthandler.dump_traceback_later(PATIENCE, exit=True)
            case = cases.make(seeds, seed)
            verdict = cases.examine(case)
            outcomes[verdict.outcome] += 1
            wrong += bool(verdict.faults)
            for fault in verdict.faults:
                print(f"seed {seed} ({case.file.name}): {fault}", flush=True)
            if verdict.faults and asked.keep:
                asked.keep.mkdir(parents=True, exist_ok=True)
                shutil.copy(case.file, asked.keep / f"{seed}-{case.file.name}")
        faulthandler.cancel_dump_traceback_later()
    for outcome, count in sorted(outcomes.items()):
        print(f"{count:6} {outcome}")
    print(f"{outcomes.total()} {kind}, {wrong} wrong, {time.monotonic() - started:.0f} s")
    return wrong


if __name__ == "__main__":
    sys.exit(main())
