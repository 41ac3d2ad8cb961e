"""Which photos the words of a command line name: files, folders, globs and pipes."""

from __future__ import annotations

import glob
import os
import re
import stat
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from restore_cli.errors import UsageError
from restore_cli.image import is_image_name

STREAM = "-"  # standard input or output

# Photos and videos of formats that are not read: a folder may hold them, and who asks for it should
# know.
_UNREAD = re.compile(
    r"\.(hei[cf]|hif|jxl|jp2|j2k|gif|psd|exr|hdr|dng|cr[23]|nef|arw|orf|rw2|raf|pef|srw"
    r"|mp4|m4v|mov|avi|mkv|webm|m2?ts|3gp|mpg|wmv)"
)


def count_unread(unread: Counter[str]) -> str:
    """Photos and videos that are not read, the most first: "3 .heic, 2 .cr2"."""
    return ", ".join(f"{count} {suffix}" for suffix, count in unread.most_common())


def find_inputs(
    word: str, output: str | None, suffix: str, recursive: bool, unread: Counter[str]
) -> Iterator[tuple[str, str]]:
    """Paths, and the same relative to the folder searched.

    A folder gives its images, sorted, without hidden files. Folders and globs leave out pipes and
    devices, what an earlier run made of their other files, and the folder written to.

    Args:
        word: a file (of any suffix) or a pipe, a folder, a glob or STREAM.
        output: the folder written to, if it is one.
        suffix: between stem and extension of what is written, ".denoised".
        recursive: search folders in folders.
        unread: is given how many photos and videos of other formats there are, by suffix.

    Raises:
        UsageError: a folder cannot be searched, or a glob matches nothing.
    """
    if word == STREAM:
        yield word, word
    elif os.path.isdir(word):
        for here, folders, names in os.walk(word, onerror=_refuse):
            folders[:] = sorted(
                name for name in folders if recursive and _is_searched(here, name, output)
            )
            shown = [name for name in names if name[0] != "."]
            suffixes = (os.path.splitext(name)[1].lower() for name in shown)
            unread.update(suffix for suffix in suffixes if _UNREAD.fullmatch(suffix))
            images = [name for name in shown if is_image_name(Path(name))]
            for name in _originals(images, suffix):
                path = os.path.join(here, name)
                if not _is_endless(path):
                    yield path, os.path.relpath(path, word)
    elif os.path.lexists(word) or not glob.has_magic(word):
        yield word, os.path.basename(word)
    else:
        files = [path for path in glob.glob(word, recursive=True) if os.path.isfile(path)]
        if not files:
            raise UsageError(f"No file matches {word}; check the pattern.")
        for path in _originals(files, suffix):
            yield path, os.path.basename(path)


def _is_endless(path: str) -> bool:
    """Whether reading may wait for ever: a pipe, a socket or a device, which no folder is searched
    for.
    """
    try:
        mode = os.stat(path).st_mode
    except OSError:  # reading says why
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _refuse(error: OSError) -> None:
    raise UsageError(
        f"{error.filename} cannot be searched: {error.strerror}; make it readable."
    ) from error


def _is_searched(here: str, name: str, output: str | None) -> bool:
    return name[0] != "." and not (
        output and os.path.realpath(os.path.join(here, name)) == os.path.realpath(output)
    )


def _originals(paths: Iterable[str], suffix: str) -> list[str]:
    """Sorted, without those that another one's output would be called, whatever its extension."""
    stems = {path: os.path.splitext(path)[0] for path in paths}
    made = {stem + suffix for stem in stems.values()} if suffix else set()
    return sorted(path for path, stem in stems.items() if stem not in made)
