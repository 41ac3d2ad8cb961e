"""What is installed, which devices there are, and whether they compute what they should."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module, metadata
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from restore_cli import __version__
from restore_cli.errors import RestoreError
from restore_cli.models import store
from restore_cli.models.catalog import Bundled, Entry, downloads, entries
from restore_cli.storage import sha256_of

if TYPE_CHECKING:
    from restore_cli.image import Picture

_LIBRARIES = {  # by module
    "torch": "PyTorch",
    "numpy": "NumPy",
    "PIL": "Pillow",
    "cv2": "OpenCV",
    "scipy": "SciPy",
    "skimage": "scikit-image",
    "safetensors": "safetensors",
}
_INSTRUCTIONS = {  # torch's names of what speeds up networks
    "avx2": "AVX2",
    "avx512_f": "AVX-512",
    "avx512_bf16": "AVX-512 BF16",
    "amx_bf16": "AMX BF16",
    "arm_bf16": "ARM BF16",
}
_REINSTALL = "Run `pip install --force-reinstall .` in the folder of README.md."
_LEAST_MEMORY = _LEAST_DISK = 1e9  # bytes; below, photos and downloads soon fail
_NOISE = 25  # standard deviation of the self-test's noise on the 0..255 scale
_SIDE = 256  # of the self-test's picture in pixels
_LEAST_GAIN = 10.0  # dB of PSNR; a model for photos gains 17
_LEAST_AGREEMENT = 45.0  # dB of PSNR between a result and that of the CPU in fp32; bf16 has 66
_EQUAL = 200.0  # dB, instead of infinity for equal results


@dataclass(frozen=True)
class Finding:
    """One fact about this installation.

    Attributes:
        name: what was examined.
        value: the result as a JSON value; sizes are in bytes.
        text: the result for people, if it differs.
        problem: what is wrong and what to do about it; empty if all is well.
    """

    name: str
    value: object = None
    text: str = ""
    problem: str = ""


def examine() -> Iterator[tuple[str, Finding]]:
    """Examine the installation; yields each finding with its section. Changes nothing."""
    sections: dict[str, Callable[[], Iterator[Finding]]] = {
        "versions": _versions,
        "devices": _devices,
        "memory": _memory,
        "models": _models,
        "extras": _extras,
        "self-test": _self_test,
    }
    for section, look in sections.items():
        try:
            yield from ((section, finding) for finding in look())
        except Exception as error:  # a broken library must not hide the other findings
            problem = f"Cannot examine the {section}: {error or type(error).__name__}."
            yield section, Finding("failed", None, "failed", f"{problem} {_REINSTALL}")


def _versions() -> Iterator[Finding]:
    yield Finding("restore", __version__)
    yield Finding("Python", platform.python_version())
    yield Finding("system", platform.platform(terse=True))
    for module, name in _LIBRARIES.items():
        try:
            yield Finding(name, str(import_module(module).__version__))
        except Exception as error:  # a missing system library raises OSError, for example
            reason = str(error).partition("\n")[0]
            yield Finding(name, None, "broken", f"Cannot load {name}: {reason}. {_REINSTALL}")


def _devices() -> Iterator[Finding]:
    import torch

    from restore_cli.device import cpu_capabilities, find_processor

    cores, threads = psutil.cpu_count(logical=False), psutil.cpu_count()
    used = torch.get_num_threads()
    yield Finding("CPU", find_processor() or platform.machine())
    yield Finding(
        "cores",
        {"cores": cores, "threads": threads, "used": used},
        f"{cores}, {threads} threads, {used} of them used",
    )
    able = cpu_capabilities()
    found = [name for key, name in _INSTRUCTIONS.items() if able.get(key)]
    yield Finding("instructions", found, ", ".join(found) or "none that speed up networks")
    gpus = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
    names = [f"{gpu.name}, {_gigabytes(gpu.total_memory)}" for gpu in gpus]
    unused = not gpus and _has_nvidia()
    yield Finding(
        "CUDA",
        [gpu.name for gpu in gpus],
        "; ".join(names) or "no GPU",
        "PyTorch cannot use the NVIDIA GPU of this computer. Install its build for CUDA"
        " (https://pytorch.org/get-started), and a recent driver."
        if unused
        else "",
    )
    if sys.platform == "darwin":
        mps = torch.backends.mps.is_available()
        yield Finding("MPS", mps, "available" if mps else "not available")


def _has_nvidia() -> bool:
    """Whether an NVIDIA driver is installed."""
    return Path("/proc/driver/nvidia/gpus").is_dir() or bool(shutil.which("nvidia-smi"))


def _memory() -> Iterator[Finding]:
    memory = psutil.virtual_memory()
    yield Finding("memory", memory.total, _gigabytes(memory.total))
    yield Finding(
        "free memory",
        memory.available,
        _gigabytes(memory.available),
        f"Only {_gigabytes(memory.available)} of memory is free. Close other programs."
        if memory.available < _LEAST_MEMORY
        else "",
    )
    folder = _existing(store.cache_dir())
    free = shutil.disk_usage(folder).free
    yield Finding(
        "free disk",
        free,
        f"{_gigabytes(free)} at {folder}",
        f"Only {_gigabytes(free)} is free at {folder}, where models are kept. Delete files, or set"
        " RESTORE_CACHE to another folder."
        if free < _LEAST_DISK
        else "",
    )


def _existing(folder: Path) -> Path:
    """The folder, or the closest one above it that exists."""
    return next(path for path in (folder, *folder.parents) if path.exists())


def _models() -> Iterator[Finding]:
    folder = store.cache_dir()
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    problem = ""
    place = _existing(folder)
    if not place.is_dir() or not os.access(place, os.W_OK):
        problem = f"Cannot write to {folder}. Set RESTORE_CACHE to a folder that you own."
    yield Finding("folder", str(folder), problem=problem)
    yield Finding("size", size, _gigabytes(size))
    bundled = [entry for entry in entries().values() if isinstance(entry.source, Bundled)]
    yield _verify("bundled", bundled)
    yield _verify("downloaded", [one for one in downloads() if store.path_of(one).is_file()])


def _verify(name: str, models: list[Entry]) -> Finding:
    """Compare the models' files with their checksums."""
    bad = [entry.name for entry in models if not _is_intact(entry)]
    good = [entry.name for entry in models if entry.name not in bad]
    remedy = _REINSTALL
    if name == "downloaded":
        listed = " ".join(bad)
        remedy = f"Run `restore models remove {listed}` and `restore models fetch {listed}`."
    return Finding(
        name,
        {"verified": good, "damaged": bad},
        f"{len(good)} of {len(models)} verified" if models else "none",
        f"The model files of {', '.join(bad)} are missing or damaged. {remedy}" if bad else "",
    )


def _is_intact(entry: Entry) -> bool:
    try:
        return sha256_of(store.path_of(entry)) == entry.sha256
    except OSError:
        return False


def _extras() -> Iterator[Finding]:
    package = metadata.metadata("restore-cli")
    for extra in package.get_all("Provides-Extra") or ():
        lacking = [name for name in _requirements(extra) if not _is_installed(name)]
        remedy = f"not installed; run `pip install 'restore-cli[{extra}]'`"
        text = remedy if lacking else "installed"
        yield Finding(extra, not lacking, text)


def _requirements(extra: str) -> Iterator[str]:
    """The packages of an extra; extras that only combine others have none of their own."""
    for line in metadata.requires("restore-cli") or ():
        name, _, condition = line.partition(";")
        if re.search(rf"extra == ['\"]{re.escape(extra)}['\"]", condition):
            yield re.split(r"[^\w.-]", name, maxsplit=1)[0]


def _is_installed(package: str) -> bool:
    try:
        return bool(metadata.version(package))
    except metadata.PackageNotFoundError:
        return False


def _self_test() -> Iterator[Finding]:
    """Restore one tile on each device; compare it with the clean picture, and with the CPU."""
    from restore_cli.engine import Settings
    from restore_cli.metrics import psnr
    from restore_cli.pipeline.apply import restore
    from restore_cli.pipeline.networks import load
    from restore_cli.tasks.denoise import Denoise

    clean, noisy = _pictures()
    model, reference = load(offline=True), None
    for device, precision in _computations():
        settings, name = Settings(device, precision), f"{device} {precision}"
        try:
            restore(noisy, Denoise(), model, settings)  # the first run is slower
            started = time.perf_counter()
            restored = restore(noisy, Denoise(), model, settings).pixels
        except (RestoreError, RuntimeError) as error:
            reason = str(error).partition("\n")[0].rstrip(".")
            yield Finding(name, None, "failed", f"Cannot run on {device}: {reason}.")
            continue
        speed = _SIDE**2 / 1e6 / (time.perf_counter() - started)
        gain = psnr(restored, clean.pixels) - psnr(noisy.pixels, clean.pixels)
        text, agreement = f"gain {gain:.1f} dB", None
        if reference is None:
            reference = restored
        else:
            agreement = min(psnr(restored, reference), _EQUAL)
            text += f", agreement with the CPU in fp32 {agreement:.0f} dB"
        problem = ""
        if gain < _LEAST_GAIN or (agreement or _EQUAL) < _LEAST_AGREEMENT:
            problem = (
                f"Wrong result on {device} in {precision}: {text}; expected at least"
                f" {_LEAST_GAIN:.0f} and {_LEAST_AGREEMENT:.0f} dB. Update the driver, or use"
                " --device cpu --precision fp32."
            )
        facts = {"gain_db": gain, "agreement_db": agreement, "megapixels_per_s": speed}
        yield Finding(name, facts, f"{text}, {speed:.2g} MP/s", problem)


def _pictures() -> tuple[Picture, Picture]:
    """A synthetic picture of colored waves and a disk, and the same with white noise."""
    import numpy as np

    from restore_cli.image import Picture

    y, x = np.mgrid[:_SIDE, :_SIDE] / _SIDE
    waves = [0.5 + 0.4 * np.sin(9 * x + 3 * color) * np.cos(7 * y - color) for color in range(3)]
    clean = np.stack(waves, axis=2)
    clean[np.hypot(x - 0.6, y - 0.4) < 0.25] *= 0.5
    noise = np.random.default_rng(0).normal(0, _NOISE / 255, clean.shape)
    noisy = np.clip(clean + noise, 0, 1)
    return Picture(clean.astype(np.float32)), Picture(noisy.astype(np.float32))


def _computations() -> Iterator[tuple[str, str]]:
    """The devices, first the CPU in fp32, with each precision that they compute natively."""
    import torch

    from restore_cli.device import computes_bf16

    devices = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    if torch.backends.mps.is_available():
        devices.append("mps")
    for device in devices:
        yield device, "fp32"
        if computes_bf16(torch.device(device)):
            yield device, "bf16"


def _gigabytes(size: float) -> str:
    return f"{size / 1e9:.1f} GB"
