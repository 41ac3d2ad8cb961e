"""Decoding by OpenCV, which keeps 16 bits per sample, and what its decoders report of damage."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from restore_cli.image.stderr import captured_stderr

# What libjpeg and libpng write to standard error.
_COMPLAINT = (
    rb"(?:Corrupt JPEG data|Premature end of JPEG|Inconsistent progression|Invalid SOS"
    rb"|Warning: unknown JFIF|Unknown Adobe|libpng \w+:).*\n"
)


def opencv_samples(data: bytes) -> npt.NDArray[np.uint16]:
    """Decode to uint16, H x W x K, in OpenCV's order gray, BGR or BGRA; raises ValueError if it
    cannot.
    """
    samples, _ = decode_by_opencv(data)
    if samples is None or samples.dtype != np.uint16:
        raise ValueError("its samples cannot be decoded")
    return samples if samples.ndim == 3 else samples[..., None]


def decode_by_opencv(
    data: bytes, *, color: bool = False
) -> tuple[npt.NDArray[Any] | None, list[bytes]]:
    """Return the samples as stored, or as 8-bit BGR, None if OpenCV cannot; and what decoders
    complain of.
    """
    import cv2

    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(
        cv2.utils.logging.LOG_LEVEL_SILENT
    )  # of what a failure returns as None
    try:
        with captured_stderr(_COMPLAINT) as said:
            mode = cv2.IMREAD_COLOR if color else cv2.IMREAD_UNCHANGED
            samples: Any = cv2.imdecode(np.frombuffer(data, np.uint8), mode)
        return samples, said
    except cv2.error:  # it is larger than OpenCV allows
        return None, []
    finally:
        cv2.utils.logging.setLogLevel(level)
