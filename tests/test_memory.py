"""Memory that is kept while a network runs: used again inside, given back at the end."""

from __future__ import annotations

import platform
import resource

import psutil
import pytest
import torch

from restore_cli import memory

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries are left alone")
SIZE = 2**27  # bytes, more than the C library keeps by itself


def faults_of_a_block() -> int:
    """How many pages the system had to clear for a block that is freed at once."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(SIZE // 4)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def test_freed_memory_is_used_again_and_given_back_at_the_end() -> None:
    process = psutil.Process()
    before = process.memory_info().rss
    with memory.kept():
        for _ in range(10):  # each of the first few leaves a crumb that keeps the next from fitting
            faults_of_a_block()
        with memory.kept():
            assert faults_of_a_block() < 100
        assert faults_of_a_block() < 100  # the inner end gives nothing back
        assert process.memory_info().rss > before + SIZE / 2
    assert process.memory_info().rss < before + SIZE / 2
    assert all(faults_of_a_block() > 1000 for _ in range(20))
