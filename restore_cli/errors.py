"""All errors, each with one sentence for the user and an exit code.

RestoreError            FAILED    an input could not be restored; a batch continues
|-- PictureError        FAILED    an image cannot be read or written
|   |-- TooLargeError   FAILED    a photo has more pixels than allowed
|   `-- EncodingError   FAILED    a format cannot store a result; the sentence names no file
|-- StorageError        FAILED    a file with a URL cannot be accessed (in storage.py)
|-- EngineError         FAILED    the network's result is unusable (NaN), or out of memory
|-- UsageError          USAGE     the request is invalid
`-- WeightsError        WEIGHTS   a checkpoint is missing, damaged, unknown or cannot be fetched
    `-- LicenseError    WEIGHTS   the terms of its license were not accepted
"""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """Exit codes. A closed or full standard output is FAILED."""

    OK = 0
    FAILED = 1
    USAGE = 2
    WEIGHTS = 3
    INTERRUPTED = 130  # 128 + SIGINT, as shells count


class RestoreError(Exception):
    """Base of all errors of this package; `str(error)` is a sentence for the user."""

    exit_code: ClassVar[ExitCode] = ExitCode.FAILED


class PictureError(RestoreError):
    """An image file cannot be read or written."""


class TooLargeError(PictureError):
    """A photo, or its result, has more pixels than allowed."""


class EncodingError(PictureError):
    """A format cannot store a result; unlike other sentences, this one names no file."""


class EngineError(RestoreError):
    """The network cannot be run on this picture, or its output is unusable."""


class UsageError(RestoreError):
    """The request is invalid."""

    exit_code = ExitCode.USAGE


class WeightsError(RestoreError):
    """A checkpoint is missing, damaged, unknown or cannot be fetched."""

    exit_code = ExitCode.WEIGHTS


class LicenseError(WeightsError):
    """A checkpoint's license has terms that the user has not accepted."""
