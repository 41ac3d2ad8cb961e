"""Which files a job reads and which it writes, settled before anything runs."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from restore_cli.errors import UsageError
from restore_cli.image import LOSSY, READ_SUFFIXES, format_of, is_image_name, suffix_of
from restore_cli.pipeline.inputs import STREAM as STREAM
from restore_cli.pipeline.inputs import count_unread as count_unread
from restore_cli.pipeline.inputs import find_inputs

Existing = Literal["refuse", "skip", "overwrite"]


@dataclass(frozen=True, slots=True)
class FileJob:
    """One input and where its result goes; strings, for a folder may hold 100,000.

    Attributes:
        input, output: paths, or STREAM.
        relative: the input's path below the folder it was found in; of a named file its name.
        mask: where the mask that was used goes, or nothing.
        mask_in: where the mask is, or nothing: white where the change is made, black where it is
            not, gray where in part; where it is transparent it counts as black.
        reference: where the clean picture is, or nothing.
        format: Pillow's name of the format to write; nothing is that of what a pipe gives.
    """

    input: str
    output: str
    relative: str
    mask: str = ""
    mask_in: str = ""
    reference: str = ""
    format: str = ""


@dataclass(frozen=True)
class OutputNaming:
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
        return self.format or choose_format(own, self.exact)


def choose_format(own: str | None, exact: bool) -> str:
    """Pillow's name of the format to write where none is given: that of the input, if it can be.

    Args:
        own: of the input; None is one that cannot be written.
        exact: in place of one that is lossy take PNG.
    """
    return "PNG" if own is None or (exact and own in LOSSY) else own


def plan(
    words: Sequence[str],
    naming: OutputNaming,
    *,
    recursive: bool = False,
    existing: Existing = "refuse",
    masks: Path | None = None,
    references: Path | None = None,
    reports: Sequence[Path] = (),
    unread: Counter[str] | None = None,
) -> list[FileJob]:
    """Find the inputs and name their outputs.

    A word is a file (of any suffix) or a pipe, a folder (its images, sorted, without hidden files),
    a glob or STREAM. Folders and globs leave out pipes and devices, what an earlier run made of
    their other files, and the folder written to.

    Args:
        recursive: search folders in folders; below an output folder their tree is kept.
        existing: what to do about outputs that exist. Under "skip" an input that is another's
            output is left out as well, which makes `*.jpg` from a shell safe to repeat.
        masks, references: a file, or a folder that has one of the same relative path or stem for
            each input.
        reports: files that are written about all inputs.
        unread: is given how many photos and videos of other formats the folders hold, by suffix.

    Raises:
        UsageError: there is no input, mask or reference, two inputs have one output, an output is
            an input or exists.
    """
    found = _find_all(words, naming, recursive, Counter() if unread is None else unread)
    single = len(found) == len(words) == 1 and not os.path.isdir(words[0])
    items = [
        replace(
            item,
            mask=_mask(item, naming.masks, single) if naming.masks else "",
            format=format_of(Path(item.output)) if item.output != STREAM else naming.format or "",
        )
        for item in _name(found, naming, single)
    ]
    items = match_files(items, masks, references)
    claimed = _claim(items)
    if existing == "skip":
        items = [
            item
            for item in items
            if claimed.get(os.path.abspath(item.input), item.input) == item.input
        ]
    _protect(items, existing, reports)
    return items


def _find_all(
    words: Sequence[str], naming: OutputNaming, recursive: bool, unread: Counter[str]
) -> list[tuple[str, str]]:
    """All inputs, each once, and their paths relative to the folders searched; at least one."""
    found = dict.fromkeys(
        pair
        for word in words
        for pair in find_inputs(word, naming.output, naming.suffix, recursive, unread)
    )
    if not found:
        place = ", ".join(words) or "the list"
        if unread:
            raise UsageError(
                f"No image in {place} can be read ({count_unread(unread)}); convert them first."
            )
        raise UsageError(f"No image in {place}; name files or folders that have some.")
    return list(found)


def _claim(items: Sequence[FileJob]) -> dict[str, str]:
    """What is written to each path; raises UsageError if two things are written to one."""
    claimed: dict[str, str] = {}
    for item in items:
        for path, whose in ((item.output, item.input), (item.mask, f"the mask of {item.input}")):
            if path in ("", STREAM):
                continue
            other = claimed.setdefault(os.path.abspath(path), whose)
            if other != whose:
                raise UsageError(
                    f"{other} and {whose} would both be written to {path};"
                    " restore them separately, or to other names."
                )
    return claimed


def match_files(items: list[FileJob], masks: Path | None, references: Path | None) -> list[FileJob]:
    """The items, each with its own mask and reference; raises UsageError where there is none."""
    for kind, place in (("reference", references), ("mask", masks)):
        if place and not place.exists():
            raise UsageError(f"There is no {kind} {place}; check its path.")
    if references and not references.is_dir() and len(items) > 1:
        raise UsageError(f"{references} is one picture; give a folder as reference of several.")
    return [
        replace(
            item,
            mask_in=str(find_matching_file(masks, item)) if masks else "",
            reference=str(find_matching_file(references, item)) if references else "",
        )
        for item in items
    ]


def find_matching_file(place: Path, item: FileJob) -> Path:
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


def _name(found: Sequence[tuple[str, str]], naming: OutputNaming, single: bool) -> list[FileJob]:
    output = naming.output
    if output is None:
        return [FileJob(path, _beside(path, naming), relative) for path, relative in found]
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
        return [FileJob(path, output, relative) for path, relative in found]
    if os.path.isfile(output) or (is_image_name(Path(output)) and not _is_folder(output)):
        raise UsageError(
            f"{len(found)} pictures cannot go to the file {output}; give a folder as -o."
        )
    if (STREAM, STREAM) in found:
        raise UsageError("The result of standard input needs a name; give a file, or -, as -o.")
    return [
        FileJob(path, os.path.join(output, naming.file(relative)), relative)
        for path, relative in found
    ]


def _beside(path: str, naming: OutputNaming) -> str:
    return (
        path
        if path == STREAM
        else os.path.join(os.path.dirname(path), naming.file(os.path.basename(path)))
    )


def _is_folder(path: str) -> bool:
    return os.path.isdir(path) or path.endswith(("/", os.sep))


def _mask(item: FileJob, masks: str, single: bool) -> str:
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


def _protect(items: Sequence[FileJob], existing: Existing, reports: Sequence[Path]) -> None:
    """Refuse outputs that are read, by whatever link, and those that exist if nobody said what to
    do.
    """
    written = [
        path for item in items for path in (item.output, item.mask) if path not in ("", STREAM)
    ]
    present = [path for path in written if os.path.isfile(path)]
    others = {path for item in items for path in (item.mask_in, item.reference) if path}
    if not present and not others and not reports:
        return
    read = others | {item.input for item in items if item.input != STREAM}
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
