"""Everything that can go wrong, each with one sentence for the user and one exit code.

RestoreError            1   an input could not be restored; the rest of a batch goes on
|-- PictureError        1   an image cannot be read or written
|-- EngineError         1   the network's result is unusable (NaN), or memory is too short for it
|-- UsageError          2   the request makes no sense
`-- WeightsError        3   a checkpoint is missing, damaged, unknown or cannot be fetched
"""

from __future__ import annotations


class RestoreError(Exception):
    """Base of all errors of this package; `str(error)` is one sentence that says what to do."""

    exit_code = 1


class PictureError(RestoreError):
    """An image file cannot be read or written."""


class EngineError(RestoreError):
    """The network cannot be run on this picture, or what came out is no picture."""


class UsageError(RestoreError):
    """The request makes no sense as it stands."""

    exit_code = 2


class WeightsError(RestoreError):
    """A checkpoint is missing, damaged, unknown or cannot be fetched."""

    exit_code = 3
