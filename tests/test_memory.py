"""Memory that is kept while a network runs: used again inside, given back at the end."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

SCRIPT = """
import psutil, resource, torch
from restore_cli import memory

SIZE = 2**27  # bytes, more than the C library keeps by itself

def faults(size=SIZE):  # how many pages the system has to clear for a block that is freed at once
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(size // 4)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def held():
    return psutil.Process().memory_info().rss - before > SIZE / 2

before = psutil.Process().memory_info().rss
assert faults() > 1000
with memory.reuse():
    for _ in range(10):  # each of the first few leaves a crumb that keeps the next from fitting
        faults()
    with memory.reuse():
        assert faults() < 100
    assert faults() < 100  # the inner end gives nothing back
    assert held()
assert not held()
# A crumb may hold one block of the heap, but larger ones come from the system as usual.
assert all(faults(2 * SIZE) > 1000 for _ in range(20))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries are left alone")
def test_freed_memory_is_used_again_and_given_back_at_the_end() -> None:
    """In a process of its own, which holds no freed memory of other tests."""
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr


THREAD = """
import resource, threading, torch
from restore_cli import memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(2**25)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def work():
    with memory.reuse():
        for _ in range(10):
            faults()
        found.append(faults())

found = []
memory.share_heap()
thread = threading.Thread(target=work)
thread.start()
thread.join()
assert found[0] < 100, found
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries are left alone")
def test_a_thread_reuses_memory_too() -> None:
    result = subprocess.run(
        [sys.executable, "-c", THREAD], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
