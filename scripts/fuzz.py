"""Fuzz `restore` with damaged and hostile images, checkpoints, recipes and training states.

    python scripts/fuzz.py --cases 10000 --seed 7 --keep faults/

Exits with 1 if a case failed. --keep saves the files of failed cases, named by their seeds.
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

MEMORY = 2 * 2**30  # limit on the peak memory of the process, in bytes
PATIENCE = 480  # seconds after which a hanging case is aborted with a traceback
KINDS = ("pictures", "checkpoints")


def main() -> int:
    """Run the requested cases, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=100, help="cases per kind (default: 100)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first case (default: 0)")
    parser.add_argument(
        "--what", choices=[*KINDS, "all"], default="all", help="files to damage (default: all)"
    )
    parser.add_argument(
        "--minutes", type=float, default=float("inf"), help="time limit per kind (default: none)"
    )
    parser.add_argument("--keep", type=Path, help="folder for the files of failed cases")
    options = parser.parse_args()

    warnings.simplefilter("error")
    # A decompression bomb must not take down the machine.
    resource.setrlimit(resource.RLIMIT_AS, (4 * MEMORY, 4 * MEMORY))
    failed = sum(fuzz(kind, options) for kind in KINDS if options.what in (kind, "all"))
    # Not ru_maxrss, which starts at the value of the parent process.
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    peak = int(status.partition("VmHWM:")[2].split()[0]) * 1024
    print(f"peak memory {peak / 1e6:.0f} MB{', over the limit' if peak > MEMORY else ''}")
    return int(failed > 0 or peak > MEMORY)


def fuzz(kind: str, options: argparse.Namespace) -> int:
    """Run the cases of a kind, and return how many failed."""
    cases = importlib.import_module(f"fuzz_{kind}")
    started, failed, outcomes = time.monotonic(), 0, Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        seeds = cases.plant(Path(folder))
        for seed in range(options.seed, options.seed + options.cases):
            if time.monotonic() - started > 60 * options.minutes:
                break
            faulthandler.dump_traceback_later(PATIENCE, exit=True)
            case = cases.make(seeds, seed)
            verdict = cases.examine(case)
            outcomes[verdict.outcome] += 1
            failed += bool(verdict.faults)
            for fault in verdict.faults:
                print(f"seed {seed} ({case.file.name}): {fault}", flush=True)
            if verdict.faults and options.keep:
                options.keep.mkdir(parents=True, exist_ok=True)
                shutil.copy(case.file, options.keep / f"{seed}-{case.file.name}")
        faulthandler.cancel_dump_traceback_later()
    for outcome, count in sorted(outcomes.items()):
        print(f"{count:6} {outcome}")
    print(f"{outcomes.total()} {kind}, {failed} failed, {time.monotonic() - started:.0f} s")
    return failed


if __name__ == "__main__":
    sys.exit(main())
