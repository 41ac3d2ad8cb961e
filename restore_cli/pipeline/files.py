"""The files that a batch reads and writes, decided before anything runs."""

from __future__ import annotations

import os
import re
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from restore_cli import storage
from restore_cli.errors import PictureError, RestoreError, UsageError
from restore_cli.image import (
    FORMATS,
    LOSSY,
    READ_SUFFIXES,
    format_of,
    has_image_suffix,
    is_image_name,
    suffix_of,
    written_format,
)
from restore_cli.pipeline.inputs import STREAM as STREAM
from restore_cli.pipeline.inputs import advise_unread as advise_unread
from restore_cli.pipeline.inputs import count_unread as count_unread
from restore_cli.pipeline.inputs import find_inputs, is_folder, is_input_folder

Existing = Literal["refuse", "skip", "overwrite"]
_PIPE = re.compile(r"/dev/(stdin|fd/\d+)|/proc/[^/]+/fd/\d+")  # as a shell names it
Owns = Callable[[str, str], bool]


def owns_nothing(*_: str) -> bool:
    """Whether an output may be replaced without a journal: never."""
    return False


@dataclass(frozen=True, slots=True)
class FileJob:
    """One input and its output; paths are strings, because a folder may hold 100,000.

    Attributes:
        input, output: paths or URLs, or STREAM.
        relative: the input's path relative to the folder that was searched, or its name.
        mask: path to save the mask to, or "".
        mask_in: path of the mask, or "". White areas are changed, black ones kept, and gray ones
            blended; transparent areas count as black.
        reference: path of the reference, or "".
        format: Pillow's name of the output format; "" is the format read from standard input.
        kept: path of a mask that exists and is not replaced, or "".
        refusal: why the input cannot be restored, or "".
    """

    input: str
    output: str
    relative: str
    mask: str = ""
    mask_in: str = ""
    reference: str = ""
    format: str = ""
    kept: str = ""
    refusal: str = ""

    @property
    def name(self) -> str:
        """The input, as messages name it."""
        return "standard input" if self.input == STREAM else self.input


@dataclass(frozen=True)
class OutputNaming:
    """How output files are named.

    Attributes:
        output: a file, a folder or STREAM; None is next to the input, or STREAM for STREAM.
        suffix: text between stem and extension, such as ".denoised".
        format: Pillow's name of the output format; None is the input's, by its extension.
        exact: whether to write PNG instead of a lossy format that was not requested.
        masks: file or folder to save the used masks to; None does not save them.
    """

    output: str | None = None
    suffix: str = ""
    format: str | None = None
    exact: bool = False
    masks: str | None = None

    def file(self, relative: str) -> str:
        """Name the output of an input; an extension that cannot be written becomes .png."""
        stem, extension = os.path.splitext(relative)
        own = written_format(relative)
        format = self.format or choose_format(own, self.exact)
        return stem + self.suffix + (extension if format == own else suffix_of(format))


def choose_format(own: str | None, exact: bool) -> str:
    """Choose the output format if none is given: the input's, or PNG.

    Args:
        own: Pillow's name of the input's format; None is unknown.
        exact: whether to replace a lossy format by PNG.
    """
    return "PNG" if own not in FORMATS or (exact and own in LOSSY) else own


def plan(
    args: Sequence[str],
    naming: OutputNaming,
    *,
    recursive: bool = False,
    existing: Existing = "refuse",
    masks: Path | None = None,
    references: Path | None = None,
    shard: tuple[int, int] | None = None,
    owns: Owns = owns_nothing,
    reports: Sequence[Path] = (),
    unread: Counter[str] | None = None,
) -> list[FileJob]:
    """Find the inputs and name their outputs.

    Args:
        args: files (with any suffix), pipes, folders, globs or STREAM. A folder means its images,
            sorted. Folders and globs exclude hidden files, pipes, devices, outputs of earlier runs,
            and the folders of outputs, masks and references.
        naming: how outputs are named.
        recursive: whether to search subfolders; the output folder gets the same structure.
        existing: what to do with existing outputs. "skip" also excludes inputs that are outputs of
            other inputs, so that a shell's `*.jpg` can be repeated safely; so does `owns`.
        masks, references: a file, or a folder with a file of the same relative path or stem for
            each input.
        shard: the part of the inputs to keep, from 1, and the number of parts; it only depends on
            their names.
        owns: says whether an existing output, of an input, may be replaced anyway.
        reports: files that are written about all inputs.
        unread: counts files in unsupported formats in folders, by suffix.

    Raises:
        UsageError: an input, mask or reference is missing, two inputs have the same output, or an
            output exists or is an input.
        StorageError: a URL cannot be accessed.
    """
    storage.refresh()
    folders = own_folders(naming, masks, references)
    unread = Counter() if unread is None else unread
    found = _find_all(args, folders, naming.suffix, recursive, unread)
    # A result next to a photo that was deleted is no photo to restore, unless it is named.
    given = set(args)
    found = [
        (path, name)
        for path, name in found
        if path in given or not _is_own_result(path, naming, owns)
    ]
    if not found:
        raise UsageError(
            "Cannot restore results of earlier runs again. Name them, or leave out --resume."
        )
    single = len(found) == 1 and not any(map(is_input_folder, args))
    items = match_files(_complete(found, naming, single), masks, references)
    items = [_refuse(item) if os.path.isdir(item.input) else item for item in items]
    claimed = _claim(items)
    items = [
        item
        for item in items
        if claimed.get(storage.same_name(item.input), item.input) == item.input
        or not (existing == "skip" or owns(item.input, ""))
    ]
    items = [item for item in items if _is_in(shard, item)]
    _protect([item for item in items if not item.refusal], existing, owns, reports)
    return [_keep_mask(item) for item in items] if existing == "skip" else items


def _keep_mask(item: FileJob) -> FileJob:
    """Keep a mask that exists, such as that of a photo whose restoration was killed."""
    if not (item.mask and storage.is_file(item.mask)):
        return item
    return replace(item, mask="", kept=item.mask)


def _refuse(folder: FileJob) -> FileJob:
    """A folder that cannot be searched, which fails and has no output of its own."""
    reason = f"Cannot search {folder.input}: permission denied."
    return replace(folder, output=folder.input, refusal=reason)


def follow(
    found: Iterable[tuple[str, str] | None],
    naming: OutputNaming,
    *,
    existing: Existing = "refuse",
    masks: Path | None = None,
    references: Path | None = None,
    shard: tuple[int, int] | None = None,
    owns: Owns = owns_nothing,
) -> Iterator[FileJob | None]:
    """Name the outputs of inputs one by one, without keeping them; see `plan`.

    Args:
        found: inputs as from `find_inputs`, and None while the next one is not known yet.
        naming: how outputs are named; they are in a folder or next to the inputs.
        existing: as for `plan`; "overwrite" is not possible, because an output may be an input that
            comes later.
        masks, references, shard, owns: as for `plan`.

    Raises:
        UsageError: masks or references are missing.
    """
    match_files([], masks, references)
    for pair in found:
        if pair is None:
            yield None
            continue
        if _is_own_result(pair[0], naming, owns):
            continue
        if existing == "skip" and _is_result(pair[0], naming):
            continue
        item = FileJob(pair[0], STREAM, pair[1])
        try:
            [item] = match_files(_complete([pair], naming, single=False), masks, references)
            _protect([item], existing, owns, ())
            item = _keep_mask(item) if existing == "skip" else item
        except RestoreError as error:  # it must not stop the others
            item = replace(item, refusal=str(error))
        if _is_in(shard, item):
            yield item


def _is_own_result(path: str, naming: OutputNaming, owns: Owns) -> bool:
    """Whether a file was written by the same command; other commands may go on with it."""
    return os.path.splitext(path)[0].endswith(naming.suffix) and owns(path, "")


def _is_result(path: str, naming: OutputNaming) -> bool:
    """Whether a file is named like the result of another image next to it."""
    stem = os.path.splitext(path)[0]
    original = stem.removesuffix(naming.suffix)
    if naming.output or original == stem:
        return False
    alike = [original + case for end in READ_SUFFIXES for case in (end, end.upper())]
    return any(os.path.isfile(one) and is_image_name(one) for one in alike)


def _is_in(shard: tuple[int, int] | None, item: FileJob) -> bool:
    if not shard:
        return True
    number, count = shard
    name = item.relative.replace(os.sep, "/")  # the same on Windows
    return zlib.crc32(os.fsencode(name)) % count == number - 1


def own_folders(naming: OutputNaming, masks: Path | None, references: Path | None) -> list[str]:
    """The folders below an input folder that contain no photos to restore."""
    return [str(path) for path in (naming.output, naming.masks, masks, references) if path]


def _find_all(
    args: Sequence[str],
    folders: Sequence[str],
    suffix: str,
    recursive: bool,
    unread: Counter[str],
) -> list[tuple[str, str]]:
    """Find all inputs without duplicates, and their relative paths; raises UsageError if none."""
    found: dict[str, tuple[str, str]] = {}  # a.jpg and ./a.jpg are the same
    for arg in args:
        for path, relative in find_inputs(arg, folders, suffix, recursive, unread):
            same = path if path == STREAM else storage.absolute(path)
            found.setdefault(same, (path, relative))
    if not args:
        raise UsageError("Cannot find photos: the list is empty. Check how it is made.")
    if not found:
        searched = ", ".join(args)
        if unread:
            raise UsageError(
                f"Cannot find photos in {searched}: {count_unread(unread)}. {advise_unread(unread)}"
            )
        hint = "" if recursive else ", or add -r for subfolders"
        raise UsageError(
            f"Cannot find photos in {searched}: it contains none. Name another folder{hint}."
        )
    return list(found.values())


def _claim(items: Sequence[FileJob]) -> dict[str, str]:
    """Map each output path to its source; raises UsageError if a path has two sources."""
    claimed: dict[str, str] = {}
    for item in items:
        for path, source in ((item.output, item.input), (item.mask, f"the mask of {item.input}")):
            if path in ("", STREAM):
                continue
            other = claimed.setdefault(storage.same_name(path), source)
            if other != source:
                raise UsageError(
                    f"Cannot write {path}: {other} and {source} would both be written to it. Give"
                    " them other names, or restore them into different folders."
                )
    return claimed


def match_files(items: list[FileJob], masks: Path | None, references: Path | None) -> list[FileJob]:
    """Add masks and references to the items; raises UsageError if a path does not exist."""
    for kind, path in (("reference", references), ("mask", masks)):
        if path and not path.exists():
            hint = "Give a local file or folder." if ":/" in str(path) else "Check its path."
            raise UsageError(f"Cannot read the {kind} {path}: it does not exist. {hint}")
    if masks and not masks.is_dir() and not masks.is_file() and len(items) != 1:
        raise UsageError(
            f"Cannot read the mask {masks} for several photos: it is a pipe. Give a file."
        )
    if references and not references.is_dir() and len(items) > 1:
        raise UsageError(
            "Cannot compare several photos with one reference. Give a folder as --reference, with"
            " one reference per photo."
        )
    return [
        replace(
            item,
            mask_in=str(find_matching_file(masks, item.relative)) if masks else "",
            reference=str(find_matching_file(references, item.relative)) if references else "",
        )
        for item in items
    ]


def find_matching_file(path: Path, relative: str) -> Path:
    """Find the reference or mask of an input: the file itself, or a match in a folder.

    A match has the same relative path, or the same name at the top of the folder, or either with
    another image suffix, in lower or upper case. Without a match, the result is the same relative
    path.
    """
    if not path.is_dir():  # a file, or a pipe
        return path
    same = path / relative
    candidates = (same, path / same.name)
    stems = (
        candidate.with_suffix(suffix)
        for candidate in candidates
        for lower in sorted(READ_SUFFIXES, key=_is_read_only)
        for suffix in (lower, lower.upper())
    )
    return next((file for file in (*candidates, *stems) if file.is_file()), same)


def _is_read_only(suffix: str) -> tuple[bool, str]:
    """A key that sorts suffixes by name, with those that are only read, such as .dng, last."""
    return written_format(f"photo{suffix}") is None, suffix


def _complete(
    found: Sequence[tuple[str, str]], naming: OutputNaming, single: bool
) -> list[FileJob]:
    """The inputs with their outputs, the masks to save and the formats."""
    return [
        replace(
            item,
            mask=_mask(item, naming.masks, single) if naming.masks else "",
            format=format_of(item.output) if item.output != STREAM else naming.format or "",
        )
        for item in _name(found, naming, single)
    ]


def _name(found: Sequence[tuple[str, str]], naming: OutputNaming, single: bool) -> list[FileJob]:
    output = naming.output
    if output is None:
        for path, _ in found:
            if _PIPE.fullmatch(path):
                raise UsageError(f"Cannot name the output of {path}. Give -o FILE or -o -.")
        return [FileJob(path, _output_next_to(path, naming), relative) for path, relative in found]
    if output == STREAM or (single and not is_folder(output)):
        if not single:
            raise UsageError(
                f"Cannot write {len(found)} images to standard output. Give a folder as -o."
            )
        if output != STREAM:
            _check_suffix(output)
        format = naming.format
        if output != STREAM and format and format != format_of(output):
            raise UsageError(
                f"Cannot write {output}: its name does not match --format"
                f" {suffix_of(format)[1:]}. Change one of them."
            )
        return [FileJob(path, output, relative) for path, relative in found]
    if os.path.isfile(output) or (has_image_suffix(output) and not is_folder(output)):
        raise UsageError(
            f"Cannot write {len(found)} images to the file {output}. Give a folder as -o."
        )
    if (STREAM, STREAM) in found:
        raise UsageError("Cannot name the output of standard input. Give -o FILE or -o -.")
    return [
        FileJob(path, storage.join(output, naming.file(relative)), relative)
        for path, relative in found
    ]


def _output_next_to(path: str, naming: OutputNaming) -> str:
    return (
        path
        if path == STREAM
        else storage.join(storage.parent_of(path), naming.file(os.path.basename(path)))
    )


def _check_suffix(path: str) -> None:
    """Raise UsageError if a file of this name cannot be written."""
    if not has_image_suffix(path):
        raise UsageError(
            f"Cannot write {path}: its name has no image extension. Add one such as .png, or"
            " append / to write into a folder."
        )
    try:
        format_of(path)
    except PictureError as error:
        raise UsageError(str(error)) from error


def _mask(item: FileJob, masks: str, single: bool) -> str:
    if not is_folder(masks):
        if not single:
            raise UsageError(
                f"Cannot write several masks to {masks}. Append / to write into a folder."
            )
        _check_suffix(masks)
        return masks
    stem = "standard-input" if item.input == STREAM else os.path.splitext(item.relative)[0]
    return storage.join(masks, f"{stem}.png")


def _protect(
    items: Sequence[FileJob],
    existing: Existing,
    owns: Owns,
    reports: Sequence[Path],
) -> None:
    """Refuse outputs that are inputs, also through links, and existing ones unless allowed."""
    written = [
        path for item in items for path in (item.output, item.mask) if path not in ("", STREAM)
    ]
    present = [path for path in written if storage.is_file(path)]
    others = {path for item in items for path in (item.mask_in, item.reference) if path}
    if not present and not others and not reports:
        return
    read = others | {item.input for item in items}
    inputs = {_identity(path) for path in read}
    for path in (*(written if others else present), *map(str, reports)):
        if _identity(path) in inputs:
            raise UsageError(
                f"Cannot write {path}: it is an input. Give another name with --suffix, -o,"
                " --save-mask, --report or --compare."
            )
    sources = {path: item.input for item in items for path in (item.output, item.mask)}
    present = [path for path in present if not owns(path, sources[path])]
    if present and existing == "refuse":
        more = f" and {len(present) - 1} more" if len(present) > 1 else ""
        verb = "they already exist" if more else "it already exists"
        hint = "Use --skip-existing to keep what exists, or --overwrite to replace it."
        if owns is not owns_nothing:  # with --resume
            hint = "It was not made from this photo with --resume. Move it, or give another -o."
        raise UsageError(f"Cannot write {present[0]}{more}: {verb}. {hint}")


def _identity(path: str) -> tuple[int, int] | str:
    """A key that is equal for all paths of the same file, whether or not it exists."""
    local = storage.local_path(path)
    if local is None:
        return storage.canonical(path)
    try:
        status = os.fstat(sys.stdin.fileno()) if path == STREAM else os.stat(local)
    except (OSError, ValueError):
        return os.path.realpath(local)
    return status.st_dev, status.st_ino
