"""A hundred damaged and hostile checkpoints, recipes and states; scripts/fuzz_checkpoints.py takes more."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[1] / "scripts" / "fuzz_checkpoints.py"


def test_hundred_hostile_files(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), "--cases", "100", "--seed", "13"]
    answer = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr
