"""Give `restore` thousands of damaged and hostile checkpoints, recipes and states of trainings.

    python scripts/fuzz_checkpoints.py --cases 10000 --seed 7 --keep faults/

Ends with 1 if an answer was wrong; the files that got one are kept, named by their seeds.
"""

from __future__ import annotations

import argparse
import faulthandler
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

import fuzz

MEMORY = 2 * 2**30  # bytes that the process may take at its peak


def main() -> int:
    """Run the cases of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=100, help="how many (default 100)")
    parser.add_argument("--seed", type=int, default=0, help="of the first case; each next one has the next")
    parser.add_argument("--keep", type=Path, help="folder for the files of wrong answers")
    asked = parser.parse_args()

    warnings.simplefilter("error")
    resource.setrlimit(resource.RLIMIT_AS, (4 * MEMORY, 4 * MEMORY))  # ends a bomb, not the machine
    started, wrong, kinds = time.perf_counter(), 0, Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        seeds = fuzz.plant(Path(folder))
        for seed in range(asked.seed, asked.seed + asked.cases):
            faulthandler.dump_traceback_later(24 * fuzz.PATIENCE, exit=True)  # a hang that no signal ends
            case = fuzz.make(seeds, seed)
            faults = fuzz.examine(case)
            kinds[case.file.suffix] += 1
            wrong += bool(faults)
            for fault in faults:
                print(f"seed {seed} ({case.file.name}): {fault}", flush=True)
            if faults and asked.keep:
                asked.keep.mkdir(parents=True, exist_ok=True)
                shutil.copy(case.file, asked.keep / f"{seed}-{case.file.name}")
        faulthandler.cancel_dump_traceback_later()
    status = Path("/proc/self/status").read_text(encoding="utf-8")  # ru_maxrss begins at the parent's
    peak = int(status.partition("VmHWM:")[2].split()[0]) * 1024
    if peak > MEMORY:
        print(f"peak memory {peak:,} bytes")
    words = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    seconds = time.perf_counter() - started
    print(f"{asked.cases} cases ({words}), {wrong} wrong, {seconds:.0f} s, {peak / 1e6:.0f} MB")
    return int(wrong > 0 or peak > MEMORY)


if __name__ == "__main__":
    sys.exit(main())
