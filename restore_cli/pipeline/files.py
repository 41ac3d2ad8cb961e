"""Which files a job reads and which it writes, settled before anything runs."""

from __future__ import annotations

import glob
import os
import re
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from restore_cli.errors import UsageError
from restore_cli.image import LOSSY, READ_SUFFIXES, format_of, is_image_name, suffix_of

STREAM = "-"  # standard input or output

# Photos and videos of formats that are not read: a folder may hold them, and who asks for it should
# know.
_UNREAD = re.compile(
    r"\.(hei[cf]|hif|jxl|jp2|j2k|gif|psd|exr|hdr|dng|cr[23]|nef|arw|orf|rw2|raf|pef|srw"
    r"|mp4|m4v|mov|avi|mkv|webm|m2?ts|3gp|mpg|wmv)"
)

Existing = Literal["refuse", "skip", "overwrite"]


@dataclass(frozen=True, slots=True)
class Item:
    """One input and where its result goes; strings, for a folder may hold 100,000.

    Attributes:
        input, output: paths, or STREAM.
        relative: the input's path below the folder it was found in; of a named file its name.
        mask: where the mask that was used goes, or nothing.
    """

    input: str
    output: str
    relative: str
    mask: str = ""


@dataclass(frozen=True)
class Naming:
    """How outputs are called.

    Attributes:
        output: a file, a folder or STREAM; None is beside the input, and STREAM for STREAM.
        suffix: goes between stem and extension, ".denoised".
        format: Pillow's name of the format to write; None is the input's, by its extension.
        exact: in place of a format that is lossy, and that nobody asked for, write PNG.
        masks: a file, or a folder, for the masks that were used; None for nowhere.
    """

    output: str | None = None
    suffix: str = ""
    format: str | None = None
    exact: bool = False
    masks: str | None = None

    def file(self, relative: str) -> str:
        """The output's name for an input's; an extension that cannot be written becomes .png."""
        stem, extension = os.path.splitext(relative)
        own = format_of(Path(relative)) if is_image_name(Path(relative)) else None
        format = self.choose(own)
        return stem + self.suffix + (extension if format == own else suffix_of(format))

    def choose(self, own: str | None) -> str:
        """Pillow's name of the format to write for an input's; None is one that cannot be
        written.
        """
        return self.format or ("PNG" if own is None or (self.exact and own in LOSSY) else own)


def plan(
    words: Sequence[str],
    naming: Naming,
    *,
    recursive: bool = False,
    existing: Existing = "refuse",
    others: Sequence[Path] = (),
    reports: Sequence[Path] = (),
    unread: Counter[str] | None = None,
) -> list[Item]:
    """Find the inputs and name their outputs.

    A word is a file (of any suffix) or a pipe, a folder (its images, sorted, without hidden files),
    a glob or STREAM. Folders and globs leave out pipes and devices, what an earlier run made of
    their other files, and the folder written to.

    Args:
        recursive: search folders in folders; below an output folder their tree is kept.
        existing: what to do about outputs that exist. Under "skip" an input that is another's
            output is left out as well, which makes `*.jpg` from a shell safe to repeat.
        others: files that are read beside the inputs, or folders of one for each, as of
            `find_partner`.
        reports: files that are written about all inputs.
        unread: is given how many photos and videos of other formats the folders hold, by suffix.

    Raises:
        UsageError: there is no input, two inputs have one output, an output is an input or exists.
    """
    unread = Counter() if unread is None else unread
    found = list(
        dict.fromkeys(pair for word in words for pair in _find(word, naming, recursive, unread))
    )
    if not found:
        place = ", ".join(words) or "the list"
        if unread:
            raise UsageError(
                f"No image in {place} can be read ({count_unread(unread)}); convert them first."
            )
        raise UsageError(f"No image in {place}; name files or folders that have some.")
    single = len(found) == len(words) == 1 and not os.path.isdir(words[0])
    items = _name(found, naming, single)
    if naming.masks:
        items = [replace(item, mask=_mask(item, naming.masks, single)) for item in items]

    takers: dict[str, str] = {}
    for item in items:
        for path, whose in ((item.output, item.input), (item.mask, f"the mask of {item.input}")):
            other = (
                whose if path in ("", STREAM) else takers.setdefault(os.path.abspath(path), whose)
            )
            if other != whose:
                raise UsageError(
                    f"{other} and {whose} would both be written to {path};"
                    " restore them separately, or to other names."
                )
    if existing == "skip":
        items = [
            item
            for item in items
            if takers.get(os.path.abspath(item.input), item.input) == item.input
        ]
    _protect(items, existing, others, reports)
    return items


def count_unread(unread: Counter[str]) -> str:
    """What `plan` found, the most first: "3 .heic, 2 .cr2"."""
    return ", ".join(f"{count} {suffix}" for suffix, count in unread.most_common())


def find_partner(place: Path, item: Item) -> Path:
    """The reference or mask of an item: a file, or of a folder the one of its relative path or
    stem.

    In a folder that is the same relative path, or else the same name at its top, or else either
    with another image's suffix; the same relative path, too, where there is no such file.
    """
    if not place.is_dir():  # a file, or a pipe
        return place
    same = place / item.relative
    places = (same, place / same.name)
    stems = (path.with_suffix(suffix) for path in places for suffix in sorted(READ_SUFFIXES))
    return next((path for path in (*places, *stems) if path.is_file()), same)


def _find(
    word: str, naming: Naming, recursive: bool, unread: Counter[str]
) -> Iterator[tuple[str, str]]:
    """Paths, and the same relative to the folder searched."""
    if word == STREAM:
        yield word, word
    elif os.path.isdir(word):
        for here, folders, names in os.walk(word, onerror=_refuse):
            folders[:] = sorted(
                name for name in folders if recursive and _is_searched(here, name, naming)
            )
            shown = [name for name in names if name[0] != "."]
            suffixes = (os.path.splitext(name)[1].lower() for name in shown)
            unread.update(suffix for suffix in suffixes if _UNREAD.fullmatch(suffix))
            images = [name for name in shown if is_image_name(Path(name))]
            for name in _originals(images, naming):
                path = os.path.join(here, name)
                if not _is_endless(path):
                    yield path, os.path.relpath(path, word)
    elif os.path.lexists(word) or not glob.has_magic(word):
        yield word, os.path.basename(word)
    else:
        files = [path for path in glob.glob(word, recursive=True) if os.path.isfile(path)]
        if not files:
            raise UsageError(f"No file matches {word}; check the pattern.")
        for path in _originals(files, naming):
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


def _is_searched(here: str, name: str, naming: Naming) -> bool:
    output = naming.output
    return name[0] != "." and not (
        output and os.path.realpath(os.path.join(here, name)) == os.path.realpath(output)
    )


def _originals(paths: Iterable[str], naming: Naming) -> list[str]:
    """Sorted, without those that another one's output would be called, whatever its extension."""
    stems = {path: os.path.splitext(path)[0] for path in paths}
    made = {stem + naming.suffix for stem in stems.values()} if naming.suffix else set()
    return sorted(path for path, stem in stems.items() if stem not in made)


def _name(found: Sequence[tuple[str, str]], naming: Naming, single: bool) -> list[Item]:
    output = naming.output
    if output is None:
        return [Item(path, _beside(path, naming), relative) for path, relative in found]
    if output == STREAM or (single and not _is_folder(output)):
        if not single:
            raise UsageError(
                f"{len(found)} pictures cannot go to standard output; give a folder as -o."
            )
        if output != STREAM and not is_image_name(Path(output)):
            raise UsageError(
                f"{output} has no image's suffix; add one, or end it with / to name a folder."
            )
        if output != STREAM and naming.format not in (None, format_of(Path(output))):
            raise UsageError(
                f"{output} is no name for {naming.format}; give -o and --format that agree."
            )
        return [Item(path, output, relative) for path, relative in found]
    if os.path.isfile(output) or (is_image_name(Path(output)) and not _is_folder(output)):
        raise UsageError(
            f"{len(found)} pictures cannot go to the file {output}; give a folder as -o."
        )
    if (STREAM, STREAM) in found:
        raise UsageError("The result of standard input needs a name; give a file, or -, as -o.")
    return [
        Item(path, os.path.join(output, naming.file(relative)), relative)
        for path, relative in found
    ]


def _beside(path: str, naming: Naming) -> str:
    return (
        path
        if path == STREAM
        else os.path.join(os.path.dirname(path), naming.file(os.path.basename(path)))
    )


def _is_folder(path: str) -> bool:
    return os.path.isdir(path) or path.endswith(("/", os.sep))


def _mask(item: Item, masks: str, single: bool) -> str:
    if not _is_folder(masks):
        if not single:
            raise UsageError(
                f"Several masks cannot go to {masks}; end its name with / for a folder of them."
            )
        if not is_image_name(Path(masks)):
            raise UsageError(
                f"{masks} has no image's suffix; add one, or end it with / to name a folder."
            )
        return masks
    stem = "standard-input" if item.input == STREAM else os.path.splitext(item.relative)[0]
    return os.path.join(masks, f"{stem}.png")


def _protect(
    items: Sequence[Item], existing: Existing, others: Sequence[Path], reports: Sequence[Path]
) -> None:
    """Refuse outputs that are read, by whatever link, and those that exist if nobody said what to
    do.
    """
    written = [
        path for item in items for path in (item.output, item.mask) if path not in ("", STREAM)
    ]
    present = [path for path in written if os.path.isfile(path)]
    if not present and not others and not reports:
        return
    read = {item.input for item in items if item.input != STREAM}
    read.update(str(find_partner(place, item)) for place in others for item in items)
    inputs = {_identity(path) for path in read}
    for path in (*(written if others else present), *map(str, reports)):
        if _identity(path) in inputs:
            raise UsageError(
                f"{path} is an input, which is never overwritten; give another name with --suffix,"
                " -o,"
                " --save-mask, --report or --compare."
            )
    if existing == "skip":  # the masks of what is skipped
        present = [
            item.mask for item in items if item.mask in present and item.output not in present
        ]
    if present and existing != "overwrite":
        more = f" and {len(present) - 1} more" if len(present) > 1 else ""
        verb = "exist" if more else "exists"
        raise UsageError(f"{present[0]}{more} {verb} already; give --skip-existing or --overwrite.")


def _identity(path: str) -> tuple[int, int] | str:
    """The same for all names of a file, and for all ways to write the name of one that is not there
    yet.
    """
    try:
        status = os.stat(path)
    except OSError:
        return os.path.realpath(path)
    return status.st_dev, status.st_ino
