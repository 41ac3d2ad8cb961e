"""The photos that command line arguments name: files, folders, globs and pipes."""

from __future__ import annotations

import glob
import os
import re
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from restore_cli import storage
from restore_cli.errors import UsageError
from restore_cli.image import has_image_suffix, is_image_name

STREAM = "-"  # standard input or output

# Suffixes of photos and videos that cannot be read; a warning counts those in folders.
_UNREAD = re.compile(
    r"\.(jp2|j2k|ps[db]|exr|hdr|ins[pv]|mp4|m4v|mov|avi|mkv|webm|m2?ts|3gp|mpg|wmv)"
)


def count_unread(unread: Counter[str]) -> str:
    """List unsupported suffixes with their counts, the most frequent first: "3 .heic, 2 .cr2"."""
    listed = sorted(unread.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{count} {suffix}" for suffix, count in listed)


def advise_unread(unread: Counter[str]) -> str:
    """Return what to do about unsupported suffixes: install the extra, or convert the files."""
    extra = sorted(suffix for suffix in unread if has_image_suffix(f"photo{suffix}"))
    if not extra:
        return "Convert them first."
    others = " Convert the others first." if len(extra) < len(unread) else ""
    return f"Run `pip install 'restore-cli[formats]'` to read {', '.join(extra)}.{others}"


def find_inputs(
    arg: str, excluded: Sequence[str], suffix: str, recursive: bool, unread: Counter[str]
) -> Iterator[tuple[str, str]]:
    """Yield the path of each input, and its path relative to the folder that was searched.

    A folder means its images, sorted, without hidden files. Folders and globs exclude pipes,
    devices, outputs of earlier runs and the excluded folders.

    Args:
        arg: a file (with any suffix), a pipe, a folder, a glob, a URL of one of them, or STREAM.
        excluded: folders that contain no inputs, unless they are named.
        suffix: text between stem and extension of outputs, such as ".denoised".
        recursive: whether to search subfolders.
        unread: counts files in unsupported formats in folders, by suffix.

    Raises:
        UsageError: a folder cannot be searched, or a glob matches nothing.
        StorageError: a URL cannot be accessed.
    """
    if arg == STREAM:
        yield arg, arg
    elif is_input_folder(arg):
        remote, closed = storage.is_url(arg), list[str]()

        def note(error: OSError) -> None:
            if error.filename == arg:
                raise UsageError(f"Cannot search {arg}: {error.strerror}.") from error
            closed.append(error.filename)

        for here, folders, names in storage.walk(arg) if remote else os.walk(arg, onerror=note):
            folders[:] = sorted(
                name for name in folders if recursive and _is_searched(here, name, excluded)
            )
            visible = [name for name in names if name[0] != "."]
            suffixes = (os.path.splitext(name)[1].lower() for name in visible)
            unread.update(suffix for suffix in suffixes if _is_unread(suffix))
            images = [name for name in visible if is_image_name(name)]
            for name in _originals(images, suffix):
                path = storage.join(here, name)
                if remote or not _is_endless(path):
                    yield path, storage.relative_to(path, arg)
        for path in closed:  # each is a failed photo, and the others are restored
            yield path, storage.relative_to(path, arg)
    elif os.path.lexists(arg) or not _is_glob(arg):
        yield arg, os.path.basename(arg)
    else:
        if storage.is_url(arg):
            own = tuple(f"{folder.rstrip('/')}/" for folder in excluded)
            files = [
                path
                for path in storage.find_matches(arg)
                if not os.path.basename(path).startswith(".")
                and (arg.startswith(own) or not path.startswith(own))
            ]
        else:
            files = [
                path
                for path in glob.glob(arg, recursive=True)
                if os.path.isfile(path) and not _is_excluded(path, excluded, arg)
            ]
        if not files:
            raise UsageError(f"Cannot find photos: no file matches {arg}. Check the pattern.")
        for path in _originals(files, suffix):
            yield path, os.path.basename(path)


def _is_glob(arg: str) -> bool:
    """Whether an argument is a glob; a name with only brackets may be that of a lost photo."""
    if not glob.has_magic(arg) or re.search(r"[*?]", arg):
        return glob.has_magic(arg)
    return not storage.is_file(arg) if storage.is_url(arg) else bool(glob.glob(arg))


def _is_unread(suffix: str) -> bool:
    """Whether files with this suffix are photos or videos, but cannot be read."""
    name = f"photo{suffix}"
    missing = has_image_suffix(name) and not is_image_name(name)
    return missing or _UNREAD.fullmatch(suffix) is not None


def is_folder(path: str) -> bool:
    """Whether a path is a folder, or means one that does not exist yet.

    A URL means a folder unless it ends like a photo, or is a glob.
    """
    if storage.is_url(path):
        return path.endswith("/") or not (has_image_suffix(path) or glob.has_magic(path))
    return os.path.isdir(path) or path.endswith(("/", os.sep))


def is_input_folder(path: str) -> bool:
    """Whether a path is a folder to search; for URLs see `is_folder`."""
    return is_folder(path) if storage.is_url(path) else os.path.isdir(path)


def _is_endless(path: str) -> bool:
    """Whether reading might never end: a pipe, a socket or a device."""
    try:
        mode = os.stat(path).st_mode
    except OSError:  # reading reports the error
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _is_searched(here: str, name: str, excluded: Sequence[str]) -> bool:
    path = storage.join(here, name)
    if storage.is_url(path):
        same = path in [folder.rstrip("/") for folder in excluded]
    else:
        same = os.path.realpath(path) in map(os.path.realpath, excluded)
    return name[0] != "." and not same


def _is_excluded(path: str, excluded: Sequence[str], pattern: str) -> bool:
    """Whether a match of a glob is in an excluded folder below the folder of the glob."""
    root, file = Path(re.split(r"[*?[]", pattern)[0] + "x").resolve().parent, Path(path).resolve()
    folders = [Path(folder).resolve() for folder in excluded if not storage.is_url(folder)]
    return any(root in folder.parents and folder in file.parents for folder in folders)


def _originals(paths: Iterable[str], suffix: str) -> list[str]:
    """Sort paths, and exclude those that are named like the output of another path."""
    stems = {path: os.path.splitext(path)[0] for path in paths}
    made = {stem + suffix for stem in stems.values()} if suffix else set()
    return sorted(path for path, stem in stems.items() if stem not in made)
