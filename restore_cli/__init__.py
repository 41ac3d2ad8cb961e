"""Restore damaged photographs.

The command line tool is `restore`. The same from Python:

    import restore_cli
    picture = restore_cli.read_picture("photo.jpg")
    clean = restore_cli.restore(picture, restore_cli.Denoise(sigma=25))
    restore_cli.write_picture(clean, "clean.png")

Names are imported on first use: `import restore_cli` alone does not load torch or numpy.
`__version__` is the version of the installed package.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    __version__: str
    from restore_cli.engine import Settings as Settings
    from restore_cli.errors import RestoreError as RestoreError
    from restore_cli.image import Picture as Picture
    from restore_cli.image import read_picture as read_picture
    from restore_cli.image import write_picture as write_picture
    from restore_cli.pipeline.apply import restore as restore
    from restore_cli.pipeline.networks import load as load
    from restore_cli.tasks.deblock import Deblock as Deblock
    from restore_cli.tasks.deblur import Deblur as Deblur
    from restore_cli.tasks.dehaze import Dehaze as Dehaze
    from restore_cli.tasks.denoise import Denoise as Denoise
    from restore_cli.tasks.derain import Derain as Derain
    from restore_cli.tasks.inpaint import Inpaint as Inpaint
    from restore_cli.tasks.sr import Sr as Sr

_PUBLIC = {
    "Deblock": "tasks.deblock",
    "Deblur": "tasks.deblur",
    "Dehaze": "tasks.dehaze",
    "Denoise": "tasks.denoise",
    "Derain": "tasks.derain",
    "Inpaint": "tasks.inpaint",
    "Picture": "image",
    "RestoreError": "errors",
    "Settings": "engine",
    "Sr": "tasks.sr",
    "load": "pipeline.networks",
    "read_picture": "image",
    "restore": "pipeline.apply",
    "write_picture": "image",
}

__all__ = list(_PUBLIC)


def _read_version() -> str:
    """Return the version of the installed package; git's tags determine it, see pyproject.toml."""
    from importlib import metadata  # slow, and most commands do not need it

    try:
        return metadata.version("restore-cli")
    except metadata.PackageNotFoundError:  # run from a folder without an installation
        return "unknown"


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return _read_version()
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})
