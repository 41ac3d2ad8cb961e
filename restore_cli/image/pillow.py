"""Pillow: opens files without its limits and messages, and creates its images."""

from __future__ import annotations

import contextlib
import io
import logging
import threading
import warnings
from collections.abc import Iterator

import numpy as np
from PIL import Image

from restore_cli.image.arrays import Pixels
from restore_cli.image.bounds import Bounds
from restore_cli.image.formats import PILLOW_FORMATS
from restore_cli.image.stderr import captured_stderr

logging.getLogger("PIL").addHandler(logging.NullHandler())  # or its log goes to standard error
_LOCK = threading.Lock()  # for Pillow's process-wide size limit and the warning filters


@contextlib.contextmanager
def unlimited() -> Iterator[None]:
    """Disable Pillow's size limit, which `Bounds` replaces, and its warnings about metadata."""
    with _LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def open_image(data: bytes, bounds: Bounds) -> Image.Image:
    """Open a file in one of PILLOW_FORMATS.

    Raises:
        PictureError: it has more pixels than the bounds allow.
    """
    with unlimited():
        image = Image.open(io.BytesIO(data), formats=PILLOW_FORMATS)
        bounds.check(*image.size, 3 if image.mode == "P" else len(image.getbands()))
        if image.format == "TIFF":  # Pillow checks its size again when it is decoded
            load_tiff(image)
        return image


# Such as "ZIPDecode: Not enough data at scanline 30."
_LIBTIFF = rb"[\w.]+: .*\.\n"


def load_tiff(image: Image.Image) -> None:
    """Decode a TIFF and drop what libtiff prints, because damage raises an exception as well."""
    with captured_stderr(_LIBTIFF):
        image.load()


def to_pillow(image: Pixels) -> Image.Image:
    """Clip H x W x C, round it to 8 bits and return it as a gray or RGB image of Pillow."""
    samples = np.rint(image.clip(0, 1) * 255).astype(np.uint8)
    return Image.fromarray(samples[..., 0] if samples.shape[2] == 1 else samples)
