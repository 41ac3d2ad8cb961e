"""Pillow: opening files without its own limits and messages, and making its images."""

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
from restore_cli.image.formats import FORMATS
from restore_cli.image.stderr import captured_stderr

logging.getLogger("PIL").addHandler(
    logging.NullHandler()
)  # what it logs would go to standard error
_LOCK = (
    threading.Lock()
)  # held while Pillow's process-wide size limit and the warning filters are changed


@contextlib.contextmanager
def unlimited() -> Iterator[None]:
    """Lift Pillow's size limit, which `Bounds` replaces, and drop its warnings about odd
    metadata.
    """
    with _LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def open_image(data: bytes, bounds: Bounds) -> Image.Image:
    """Open a file of one of FORMATS; raises PictureError if it has too many pixels for the
    bounds.
    """
    with unlimited():
        image = Image.open(io.BytesIO(data), formats=tuple(FORMATS))
        bounds.check(*image.size, 3 if image.mode == "P" else len(image.getbands()))
        if image.format == "TIFF":  # the one format whose size is checked again on decoding
            load_tiff(image)
        return image


# Who writes, and what: "ZIPDecode: Not enough data at scanline 30."
_LIBTIFF = rb"[\w.]+: .*\.\n"


def load_tiff(image: Image.Image) -> None:
    """Decode; what libtiff writes to standard error is dropped, since damage raises an exception as
    well.
    """
    with captured_stderr(_LIBTIFF):
        image.load()


def to_pillow(image: Pixels) -> Image.Image:
    """Return H x W x C in [0, 1] as Pillow has it, gray or RGB, clipped and rounded to 8 bits."""
    samples = np.rint(image.clip(0, 1) * 255).astype(np.uint8)
    return Image.fromarray(samples[..., 0] if samples.shape[2] == 1 else samples)
