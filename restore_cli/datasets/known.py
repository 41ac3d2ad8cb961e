"""Sets of images to score on: by a known name, downloaded on request, or any folder.

    name -> DIR/name, the cache, or a download of sets.toml -> folder -> ImageSet
    path --------------------------------------------------------^

A folder is understood by what is in it:

    *.png                       clean images; the task makes the damage
    x2/hr, x2/lr, x3/hr, ...    and the same reduced by MATLAB's imresize
    clean/, rainy/              real pairs, by these or the field's other names
    *.png, rainy/               the same, as Rain100H and Rain100L come
"""

from __future__ import annotations

import difflib
import os
import re
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from typing import IO, Any, Self

from restore_cli.download import Hub, Progress, Url, download, is_offline, sha256_of
from restore_cli.errors import RestoreError, UsageError
from restore_cli.image import is_image_name, read_size
from restore_cli.models.store import cache_dir
from restore_cli.tables import fill_in, read_toml

EXPANSION = (
    20  # times the size of an archive of images, which are compressed, that it may unpack to
)
CLEAN = ("clean", "gt", "target", "groundtruth", "norain", "hr")
DAMAGED = ("rainy", "input", "noisy", "damaged", "blurry", "hazy", "rain", "lr")


@dataclass(frozen=True)
class Example:
    """A clean image, and its damaged twin where the pair is real.

    `name` is the clean one's path below the set's folder, without suffix.
    """

    name: str
    clean: Path
    damaged: Path | None = None


@dataclass(frozen=True)
class ImageSet:
    """Examples of a folder, sorted by name; `warning` is what to tell the user."""

    name: str
    folder: Path
    examples: tuple[Example, ...]
    warning: str = ""


@dataclass(frozen=True, kw_only=True)
class Source:
    """A set of sets.toml.

    Attributes:
        name: what it is asked for by, "set5".
        title: what papers call it, "Set5".
        paper: where it comes from.
        tasks: commands whose models are scored on it.
        images: how many there are; pairs count once.
        channels: 1 for gray, 3 for colour.
        layout: "plain", or "pairs" of clean and damaged images.
        clean: False for photos of real damage, of which nobody has a clean side.
        damage: how the damaged side was made, where images come in pairs.
        license: what its authors allow, or "not stated".
        note: where to get it if it cannot be downloaded, and what to know.
        source: the archive, zip or tar, or None.
        sha256: of the archive, or nothing where nobody could tell.
        members: the archive's folder that holds the images, or nothing for all of it.
    """

    name: str
    title: str
    paper: str
    images: int
    channels: int
    tasks: tuple[str, ...] = ()
    layout: str = "plain"
    clean: bool = True
    damage: str = ""
    license: str = "not stated"
    note: str = ""
    source: Hub | Url | None = None
    sha256: str = ""
    members: str = ""

    def __post_init__(self) -> None:
        fault = self.source.problem() if self.source else ""
        if self.layout not in ("plain", "pairs"):
            fault = f"the layout is plain or pairs, not {self.layout!r}"
        if self.sha256 and not re.fullmatch("[0-9a-f]{64}", self.sha256):
            fault = "sha256 must be 64 hexadecimal digits"
        if not self.source and not self.note:
            fault = "without a download, a note must say where to get it"
        if fault:
            raise RestoreError(f"{self.name}: {fault}.")


# The table


@cache
def known() -> Mapping[str, Source]:
    """The sets of sets.toml by name.

    Raises:
        RestoreError: the table has a mistake.
    """
    return read_table(Path(__file__).with_name("sets.toml"))


def read_table(path: Path) -> Mapping[str, Source]:
    """Read a table of sets, strictly.

    Raises:
        RestoreError: names the set and the key that is unknown, missing or wrong.
    """
    return {
        name: _read_source(name, values) for name, values in read_toml(path, RestoreError).items()
    }


def _read_source(name: str, values: Mapping[str, Any]) -> Source:
    others = dict(values)
    if "hub" in others:
        others["source"] = fill_in(Hub, others.pop("hub"), name, RestoreError)
    elif "url" in others:
        others["source"] = fill_in(Url, {"url": others.pop("url")}, name, RestoreError)
    return fill_in(Source, {**others, "name": name}, name, RestoreError)


# From a word to a folder


def open_set(
    word: str,
    data: Sequence[Path] = (),
    *,
    scale: int | None = None,
    pairs: str = "",
    degrade: bool = False,
    offline: bool = False,
    progress: Progress | None = None,
) -> ImageSet:
    """Find a set, and pair its images; warns if a set known by name does not have all of its
    images.

    Args:
        word: the path of a folder, or a name in any case.
        data: folders below which a folder of that name is looked for first.
        scale: takes the images reduced by so much, where there are any.
        pairs: "CLEAN:DAMAGED", folders below the set's, where their names do not tell; "CLEAN:" for
            one.
        degrade: take the images as clean, whatever is known of them, and no damaged ones.
        offline: do not download; HF_HUB_OFFLINE does the same.
        progress: called while downloading.

    Raises:
        UsageError: there is no such set or folder, it is empty or has no clean images, or its pairs
            do not fit.
        RestoreError: the set cannot be downloaded.
        PictureError: an image of a pair cannot be read.
    """
    if os.sep in word or "/" in word or os.path.lexists(word):
        folder = Path(word)
        if not folder.is_dir():
            raise UsageError(f"{word} is no folder; check the path.")
        return read_folder(folder, folder.resolve().name, scale=scale, pairs=pairs, degrade=degrade)
    name = word.lower()
    found = find_folder(name, data) if name else None
    if not found:
        _fetch(name, offline, progress)
    folder = found or _place(name)
    images = read_folder(folder, name, scale=scale, pairs=pairs, degrade=degrade)
    source, count = known().get(name), len(images.examples)
    if source is None or count == source.images:
        return images
    return replace(
        images, warning=f"{source.title} has {source.images} images, but {folder} holds {count}."
    )


def find_sets(task: str, data: Sequence[Path]) -> tuple[str, ...]:
    """The sets of a task that lie below folders, by their names; a folder that has none is one
    itself.

    A set that an earlier folder has, too, goes by its path.
    """
    found: list[str] = []
    for folder in dict.fromkeys(data):
        below = {
            name: place
            for name, source in known().items()
            if task in source.tasks and source.clean and (place := _below(name, [folder]))
        }
        words = [str(place) if name in found else name for name, place in below.items()]
        found += words or [str(folder.absolute())]
    return tuple(found)


def find_folder(name: str, data: Sequence[Path] = ()) -> Path | None:
    """Where a set lies, below one of some folders or in the cache; None where it must be
    fetched.
    """
    folder = _below(name, data) or _place(name)
    return folder if folder.is_dir() else None


def _below(name: str, data: Sequence[Path]) -> Path | None:
    for folder in data:
        if not folder.is_dir():
            raise UsageError(f"{folder} is no folder; give one that has folders of images.")
        for child in sorted(folder.iterdir()):
            if child.name.lower() == name and child.is_dir():
                return child
    return None


def _place(name: str) -> Path:
    return cache_dir() / "sets" / name


def _fetch(name: str, offline: bool, progress: Progress | None) -> None:
    """Download a set and unpack it to its place, in one step once it is whole."""
    if name not in known():
        close = difflib.get_close_matches(name, known())
        hint = (
            f"did you mean {' or '.join(close)}?" if close else f"choose from {', '.join(known())}."
        )
        raise UsageError(f"There is no set and no folder {name!r}; {hint}")
    entry, place = known()[name], _place(name)
    by_hand = f"put its images into {place}, or into a folder {name} below --data"
    if entry.source is None:
        raise UsageError(f"{entry.title} cannot be downloaded from here; {entry.note}; {by_hand}.")
    if is_offline(offline):
        raise UsageError(f"{entry.title} is not in the cache, and this is offline; {by_hand}.")
    store = place.with_name(f".{name}")
    archive = store / entry.source.file_name
    try:
        download(entry.source, archive, progress)
    except ConnectionError as error:
        raise RestoreError(f"{entry.title} cannot be fetched ({error}); {by_hand}.") from error
    try:
        if entry.sha256 and (found := sha256_of(archive)) != entry.sha256:
            fault = f"its sha256 is {found}, not {entry.sha256}"
            raise RestoreError(
                f"{entry.source} is damaged or another: {fault}; try again, or {by_hand}."
            )
        with tempfile.TemporaryDirectory(dir=place.parent, prefix=f".{name}.") as folder:
            images = _unpack(entry, archive, Path(folder) / name)
            count = len(read_folder(images, name).examples)
            if count != entry.images:
                raise RestoreError(
                    f"{entry.source} has {count} images, not {entry.images}; {by_hand}."
                )
            if not place.exists():  # else another process was faster
                images.rename(place)
    finally:
        shutil.rmtree(store)


def _unpack(entry: Source, archive: Path, folder: Path) -> Path:
    """Write the images below the archive's `members`; returns the innermost folder that holds them
    all.
    """
    folder.mkdir()
    room = EXPANSION * archive.stat().st_size
    try:
        for name, content in _files(archive):
            if (entry.members and not name.is_relative_to(entry.members)) or not _is_image_path(
                name
            ):
                continue
            if (
                ".." in name.parts
                or "\\" in str(name)
                or name.is_absolute()
                or PureWindowsPath(name).drive
            ):
                raise RestoreError(f"{entry.source} is not safe to unpack: it holds {name}.")
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as image:
                while chunk := content.read(1 << 18):
                    room -= len(chunk)
                    if room < 0:
                        fault = f"it holds more than {EXPANSION} times its own size"
                        raise RestoreError(f"Cannot unpack {entry.source}: {fault}.")
                    image.write(chunk)
    except (OSError, EOFError, tarfile.TarError, zipfile.BadZipFile, zlib.error) as error:
        reason = " ".join(str(error).split())  # tarfile's has lines
        raise RestoreError(f"{entry.source} cannot be unpacked ({reason}); try again.") from error
    if not any(folder.iterdir()):
        raise RestoreError(
            f"{entry.source} has no image below {entry.members or 'its root'}; try again."
        )
    while len(inner := list(folder.iterdir())) == 1 and inner[0].is_dir():
        folder = inner[0]
    return folder


class _Member(tarfile.TarInfo):
    """An entry of a tar whose names and attributes, which tarfile reads into memory, are no
    bomb.
    """

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        member = super().frombuf(buf, encoding, errors)
        if not (member.isreg() or member.issparse()) and member.size > 2**20:
            raise tarfile.ReadError(f"an entry that is no file has {member.size:,} bytes")
        return member


def _files(archive: Path) -> Iterator[tuple[PurePosixPath, IO[bytes]]]:
    """The regular files of a zip or tar, each open until the next is asked for."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as zipped:
            for info in zipped.infolist():
                if not info.is_dir():
                    with zipped.open(info) as content:
                        yield PurePosixPath(info.filename), content
    else:
        with tarfile.open(archive, tarinfo=_Member) as tar:
            for member in tar:
                if member.isfile() and (inner := tar.extractfile(member)):
                    yield PurePosixPath(member.name), inner


# From a folder to pairs


def read_folder(
    folder: Path, name: str, *, scale: int | None = None, pairs: str = "", degrade: bool = False
) -> ImageSet:
    """The examples of a folder that exists; see `open_set`."""
    clean_folder, damaged_folder, scale = _layout(folder, scale, pairs)
    source = known().get(name.lower())
    lacking = clean_folder.resolve().name.lower() in DAMAGED or (
        source is not None and not source.clean
    )
    if degrade:
        damaged_folder = None
    elif lacking and damaged_folder is None and not pairs:
        raise UsageError(
            f"Cannot measure on {clean_folder}: its images have no clean side. Name the clean ones"
            " with"
            " --pairs, or take these as clean and say what to add with --degrade KEY=VALUE."
        )
    clean = _images(clean_folder)
    if not clean:
        raise UsageError(f"No image in {clean_folder}; give a folder of images.")
    if damaged_folder is None:
        examples = [Example(key, path) for key, path in clean.items()]
    else:
        examples = _pair(clean, _images(damaged_folder), clean_folder, damaged_folder)
        for example in examples:
            _check_sizes(example, scale)
    return ImageSet(name, folder, tuple(sorted(examples, key=lambda example: example.name)))


def _layout(folder: Path, scale: int | None, pairs: str) -> tuple[Path, Path | None, int | None]:
    """The folder of clean images, that of damaged ones if there are any, and the scale between
    them.
    """
    if pairs:
        clean, colon, damaged = pairs.partition(":")
        if not colon:
            raise UsageError(f"Pairs are CLEAN:DAMAGED, or CLEAN: for one folder, not {pairs!r}.")
        return _existing(folder / clean), _existing(folder / damaged) if damaged else None, scale
    inner = {child.name.lower(): child for child in sorted(folder.iterdir()) if child.is_dir()}
    scales = {int(key[1:]): child for key, child in inner.items() if re.fullmatch(r"x[1-9]", key)}
    if scale in scales:
        return _layout(scales[scale], scale, "")
    if scale is None and re.fullmatch(r"x[1-9]", folder.name.lower()):
        scale = int(folder.name[1:])
    kept = next((inner[key] for key in CLEAN if key in inner), None)
    lost = next((inner[key] for key in DAMAGED if key in inner), None)
    if kept and lost:
        return kept, lost, scale
    if any(_is_image(path) for path in folder.iterdir()):
        return folder, lost, scale
    if scales and scale:
        there = ", ".join(f"x{factor}" for factor in sorted(scales))
        raise UsageError(f"{folder} has no x{scale}; it has {there}.")
    if scales:
        return _layout(scales[min(scales)], None, "")[0], None, None
    return kept or (lost if len(inner) == 1 else None) or folder, None, scale


def _existing(folder: Path) -> Path:
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder; check the names of the pairs.")
    return folder


def _is_image(path: Path) -> bool:
    return _is_image_path(path) and path.is_file()


def _is_image_path(path: PurePath) -> bool:
    return path.name[0] != "." and is_image_name(Path(path))


def _images(folder: Path) -> dict[str, Path]:
    """A folder's images, or else those of the folders in it, by their path below it without
    suffix.
    """
    paths = sorted(filter(_is_image, folder.iterdir()))
    if not paths:
        inner = sorted(child.name for child in folder.iterdir() if child.is_dir())
        if any(name.lower() in known() for name in inner):
            raise UsageError(
                f"{folder} is no set but holds {', '.join(inner)}; name what to measure on."
            )
        paths = sorted(filter(_is_image, folder.rglob("*")))
    images: dict[str, Path] = {}
    for path in paths:
        other = images.setdefault(path.relative_to(folder).with_suffix("").as_posix(), path)
        if other != path:
            raise UsageError(f"{other} and {path} have one name; remove one of them.")
    return images


def _pair(
    clean: Mapping[str, Path], damaged: Mapping[str, Path], clean_folder: Path, damaged_folder: Path
) -> list[Example]:
    twins: dict[str, Path] = {}
    for name, path in damaged.items():
        match = next((key for key in _clean_names(name) if key in clean), None)
        if match is None:
            raise UsageError(
                f"{path} has no twin of its name in {clean_folder}; add it, or remove the file."
            )
        if match in twins:
            raise UsageError(
                f"{twins[match]} and {path} are both twins of {clean[match]}; remove one of them."
            )
        twins[match] = path
    for name, path in clean.items():
        if name not in twins:
            raise UsageError(
                f"{path} has no twin of its name in {damaged_folder}; add it, or remove the file."
            )
    return [Example(name, path, twins[name]) for name, path in clean.items()]


def _clean_names(damaged: str) -> Iterator[str]:
    """What the clean one may be called: the same, or baby for babyx2, or norain-001 for
    rain-001.
    """
    for name in (damaged, re.sub(r"x[1-9]$", "", damaged)):
        yield name
        yield re.sub(r"(^|/)rain-(?=[^/]*$)", r"\1norain-", name)


def _check_sizes(example: Example, scale: int | None) -> None:
    """Sizes are equal, or differ by the scale, but for what fills no whole pixel of the reduced
    image.
    """
    assert example.damaged
    large, small = read_size(example.clean), read_size(example.damaged)
    if small == large or (scale and small == (large[0] // scale, large[1] // scale)):
        return
    sizes = " and ".join(
        f"{path} is {width} x {height}"
        for path, (height, width) in ((example.clean, large), (example.damaged, small))
    )
    wanted = (
        f"the second should be the first's, or that reduced by {scale}"
        if scale
        else "give the scale"
    )
    raise UsageError(f"The sizes of a pair differ: {sizes} pixels; {wanted}.")
