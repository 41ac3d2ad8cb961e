"""Decoding by OpenCV, which keeps 16 bits per sample, and reports of damage by its decoders."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from restore_cli.image.stderr import captured_stderr

# Lines that libjpeg and libpng write to standard error.
_COMPLAINT = (
    rb"(?:Corrupt JPEG data|Premature end of JPEG|Inconsistent progression|Invalid SOS"
    rb"|Warning: unknown JFIF|Unknown Adobe|libpng \w+:).*\n"
)


def opencv_samples(data: bytes) -> npt.NDArray[np.uint16]:
    """Decode to uint16, H x W x K, in the channel order of OpenCV: gray, BGR or BGRA.

    Raises:
        ValueError: OpenCV cannot decode the file with 16 bits per sample.
    """
    samples, _ = decode_by_opencv(data)
    if samples is None or samples.dtype != np.uint16:
        raise ValueError("its samples cannot be decoded")
    return samples if samples.ndim == 3 else samples[..., None]


def decode_by_opencv(
    data: bytes, kind: Literal["stored", "color", "eighth"] = "stored"
) -> tuple[npt.NDArray[Any] | None, list[bytes]]:
    """Decode a file to the samples as stored, to 8-bit BGR, or to gray at an eighth of its size.

    For a JPEG, an eighth takes a third of the time, and finds the same damage: libjpeg unpacks all
    coefficients, but computes few pixels of them.

    Returns:
        The samples, or None if OpenCV cannot decode them, and the decoders' reports of damage.
    """
    import cv2

    modes = {
        "stored": cv2.IMREAD_UNCHANGED,
        "color": cv2.IMREAD_COLOR,
        "eighth": cv2.IMREAD_REDUCED_GRAYSCALE_8,
    }
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # None says that it failed
    try:
        with captured_stderr(_COMPLAINT) as reports:
            samples: Any = cv2.imdecode(np.frombuffer(data, np.uint8), modes[kind])
        return samples, reports
    except cv2.error:  # the image is larger than OpenCV allows
        return None, []
    finally:
        cv2.utils.logging.setLogLevel(level)
