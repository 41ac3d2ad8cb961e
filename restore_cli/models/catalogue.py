"""Checkpoints: the table of known ones, their files, and networks made from them.

    name -> choose -> Entry -> locate -> file -> load -> Loaded (a network that runs)
    path ----------------------------------------^

A checkpoint of ours is a safetensors file whose metadata hold a JSON `Header`, so that it needs
nothing else. Foreign checkpoints are read as tensors only, never as code, and recognised by the
keys and shapes of the table's downloadable entries.

A file of the table is hashed whenever it is used: sha256 takes 0.07 s for the largest (130 MB), and
so a copied, truncated or tampered file is found without any record of what was verified when.
"""

from __future__ import annotations

import difflib
import json
import os
import pickle
import re
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import platformdirs

from restore_cli.download import Hub, Progress, Url, digest, download, is_offline
from restore_cli.errors import UsageError, WeightsError
from restore_cli.tables import brief, fill_in, read_toml

if TYPE_CHECKING:  # torch takes a second to import, and `restore models list` needs none of it
    from torch import Tensor

    from restore_cli.network import Geometry, Restorer

HEADER = "restore_cli"  # the metadata key that holds our header
FORMAT = 2
FIRST: Mapping[
    str, Mapping[str, Any]
] = {  # what parameters that a file of format 1 leaves out were then
    "rednet:rednet": {"rectified": False},
}
SCORE = (
    "set",
    "protocol",
    "psnr",
    "ssim",
)  # keys of a score; all others are the level of the damage
RANGES = {
    "sigma": (0, 255),
    "quality": (1, 100),
    "scale": (1, 16),
}  # of conditions that must be numbers
UNSTATED = "none stated"  # in place of a license
HEADER_SIZE = (
    2**20
)  # characters of JSON that a header may have; those of ours have some thousand, and
HEADER_DEPTH = 8  # levels of tables and lists
ONNX = ".onnx"
ACCEPTED = "accepted-licenses.txt"  # of the cache
SPANDREL = "spandrel:"  # before the names of networks that this optional package makes
CHOICES = ("best", "fast", "photo")  # names that mean the default where no model of a task has them
WRAPPERS = (
    "params_ema",
    "params",
    "state_dict",
    "model",
    "net",
)  # what foreign files keep tensors under
_PACKAGE = Path(__file__).parents[1]


@dataclass(frozen=True)
class Bundled:
    """A file of restore_cli/checkpoints."""

    file: str

    def __str__(self) -> str:
        return f"bundled as {self.file}"


@dataclass(frozen=True)
class Series:
    """Scores on one set, by one protocol, at the levels of one kind of damage; at least one."""

    scores: tuple[Mapping[str, Any], ...]

    @property
    def set(self) -> str:
        """The set's name, "live1 luma"."""
        return str(self.scores[0]["set"])

    @property
    def protocol(self) -> str:
        """How they were measured."""
        return str(self.scores[0]["protocol"])

    @property
    def published(self) -> bool:
        """Whether they are the authors', not measured here."""
        return "published" in self.protocol

    @property
    def level(self) -> str:
        """ "sigma 15 25 50", "damage text share 0.1"; nothing for real pairs."""
        words = []
        for key in self.scores[0]:
            values = [_words(score[key]) for score in self.scores]
            if key not in SCORE:
                words += [key, *(values if len({*values}) > 1 else values[:1])]
        return " ".join(filter(None, words))

    @property
    def middle(self) -> Series:
        """The one at the middle level."""
        return Series((self.scores[len(self.scores) // 2],))

    def __str__(self) -> str:
        """ "CBSD68 sigma 15 25: 34.30 31.69 (published)", with the PSNR in dB."""
        values = " ".join(f"{score['psnr']:.2f}" for score in self.scores)
        return (
            f"{f'{self.set} {self.level}'.rstrip()}:"
            f" {values}{' (published)' if self.published else ''}"
        )


def _words(level: Any) -> str:
    if level is True:  # its key says it all
        return ""
    return f"{level:g}" if isinstance(level, float) else str(level)


@dataclass(frozen=True, kw_only=True)
class Header:
    """What a checkpoint says of itself: all that it takes to run it.

    Attributes:
        task: the command it is for, "denoise".
        arch, params: the network, as `archs.build` takes them.
        channels: image channels, 1 or 3.
        conditions: the damage it was trained for; [low, high] where the network is told the level,
            one value where the level is fixed: {"sigma": [0, 75]}, {"sigma": 25}.
        precisions: those measured to cost at most 0.02 dB.
        recipe: how it was trained, as `training.Recipe` reads it; of foreign checkpoints what is
            known.
        scores: tables of set, protocol, conditions, psnr, ssim.
        data: the images it was trained on.
        commit: of this repository, when it was trained.
    """

    task: str
    arch: str
    params: Mapping[str, Any]
    channels: int
    conditions: Mapping[str, Any] = field(default_factory=dict)
    precisions: tuple[str, ...] = ("fp32",)
    recipe: Mapping[str, Any] = field(default_factory=dict)
    scores: tuple[Mapping[str, Any], ...] = ()
    data: str = ""
    commit: str = ""

    def __post_init__(self) -> None:
        if self.channels not in (1, 3):
            raise WeightsError(f"A checkpoint has 1 or 3 channels, not {self.channels}.")
        for key, level in self.conditions.items():
            if not is_level(key, level):
                raise WeightsError(
                    f"A checkpoint's condition {brief(key)} cannot be {brief(repr(level))}."
                )
        for score in self.scores:
            if not _is_score(score):
                raise WeightsError(f"A checkpoint's score cannot be {brief(repr(score))}.")
        if not all(isinstance(name, str) for name in self.precisions):
            raise WeightsError(
                f"A checkpoint's precisions cannot be {brief(repr(self.precisions))}."
            )

    @property
    def by_spandrel(self) -> bool:
        """Whether the optional package spandrel makes its network."""
        return self.arch.startswith(SPANDREL)

    @property
    def is_built(self) -> bool:
        """Whether `archs.build` makes its network, and not spandrel or onnxruntime."""
        return ":" in self.arch and not self.by_spandrel

    def series(self) -> tuple[Series, ...]:
        """The scores, sorted into series; a kind of damage is a level in words, such as "text"."""
        groups: dict[frozenset[tuple[str, str]], list[Mapping[str, Any]]] = {}
        for score in self.scores:
            kind = frozenset(
                (key, level if isinstance(level, str) else "")
                for key, level in score.items()
                if key not in ("psnr", "ssim")
            )
            groups.setdefault(kind, []).append(score)
        return tuple(Series(tuple(scores)) for scores in groups.values())


def is_level(key: str, level: Any) -> bool:
    """Whether a condition is a value, [low, high] or a list of words, and within its range if it
    has one.
    """
    values = level if isinstance(level, (list, tuple)) else [level]
    low, high = RANGES.get(key, (-1e9, 1e9))
    if values and all(isinstance(value, str) for value in values):
        scales = (
            {str(scale) for scale in range(int(low), int(high) + 1)} if key == "scale" else set()
        )
        return key not in RANGES or scales.issuperset(values)
    numbers = all(isinstance(value, (int, float)) and low <= value <= high for value in values)
    return numbers and (values is not level or (len(values) == 2 and values[0] <= values[1]))


def _is_score(score: Any) -> bool:
    """Whether it is a table that says where it was measured, and what."""
    return (
        isinstance(score, Mapping)
        and all(isinstance(score.get(key), str) for key in ("set", "protocol"))
        and isinstance(score.get("psnr"), (int, float))
    )


@dataclass(frozen=True, kw_only=True)
class Entry(Header):
    """A checkpoint of weights.toml: its header, where it lies and what it may be used for.

    Attributes:
        name: unique, "denoise-color".
        short: what it answers to as well; shared by the gray and the colour model of one kind, and
            by those of several scales.
        default: whether its task uses it for pictures of its channels when no model is named.
        source, sha256, size: the file; size in bytes, None where it is not known.
        license: SPDX identifier, or its name where it has none.
        paper: the publication, for models that are not ours.
        verified: how the sha256 is known, "bytes" of the file, "pointer" of Git LFS, or
            "catalogue", which others keep.
        choice: "best" or "fast" of its task, to which it answers as well.
        good: in a few words, what it is good for.
        speed: "fast", "medium" or "slow".
    """

    name: str
    source: Bundled | Hub | Url
    sha256: str
    license: str
    size: int | None = None
    short: str = ""
    default: bool = False
    paper: str = ""
    verified: str = ""
    choice: str = ""
    good: str = ""
    speed: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not re.fullmatch("[0-9a-f]{64}", self.sha256):
            raise WeightsError(f"{self.name}: sha256 must be 64 hexadecimal digits.")
        if not isinstance(self.source, Bundled) and (fault := self.source.fault()):
            raise WeightsError(f"{self.name}: {fault}.")

    @property
    def terms(self) -> str:
        """What its license withholds, which is to be accepted before it is fetched; mostly
        nothing.
        """
        if self.license == UNSTATED:
            return "no license is stated"
        limited = "-NC" in self.license or "Academic" in self.license
        return "not for commercial use" if limited else ""

    @property
    def names(self) -> tuple[str, ...]:
        """All that it answers to."""
        return tuple(filter(None, (self.name, self.short, self.choice)))


@dataclass(frozen=True)
class Loaded:
    """A network in evaluation mode, and the header it came with; `name` is the entry's, or the
    path.
    """

    name: str
    network: Restorer
    header: Header

    @property
    def task(self) -> str:
        """The command it is for."""
        return self.header.task

    @property
    def channels(self) -> int:
        """Image channels, 1 or 3."""
        return self.header.channels

    @property
    def conditions(self) -> Mapping[str, Any]:
        """The damage it was trained for."""
        return self.header.conditions


# The table


@cache
def entries() -> Mapping[str, Entry]:
    """The entries of weights.toml by name.

    Raises:
        WeightsError: the table has a mistake.
    """
    installed = _PACKAGE / "weights.toml"  # in a wheel; in a checkout it lies beside the package
    return read_table(installed if installed.exists() else _PACKAGE.parent / "weights.toml")


def read_table(path: Path) -> Mapping[str, Entry]:
    """Read a table of checkpoints, strictly.

    Raises:
        WeightsError: names the entry and the key that is unknown, missing or wrong, or the two
            entries that answer to one name.
    """
    tables = read_toml(path, WeightsError)
    table = {name: _read_entry(name, values) for name, values in tables.items()}
    taken: dict[tuple[str, str, int, float], str] = {}
    for entry in table.values():
        for role in filter(None, (entry.short, entry.choice, "default" if entry.default else "")):
            other = taken.setdefault((role, entry.task, entry.channels, _scale(entry)), entry.name)
            if other != entry.name:
                raise WeightsError(f"{other} and {entry.name} are both {role!r} for {entry.task}.")
    return table


def _read_entry(name: str, values: Mapping[str, Any]) -> Entry:
    kinds: dict[str, type[Bundled | Hub | Url]] = {"bundled": Bundled, "hub": Hub, "url": Url}
    given = [key for key in kinds if key in values]
    if len(given) != 1:
        raise WeightsError(f"{name} must have one of {', '.join(kinds)}.")
    kind, source = kinds[given[0]], values[given[0]]
    if not isinstance(source, Mapping):
        source = {fields(kind)[0].name: source}
    others = {key: value for key, value in values.items() if key not in kinds}
    made = fill_in(kind, source, name, WeightsError)
    return fill_in(Entry, {**others, "name": name, "source": made}, name, WeightsError)


def find(name: str) -> tuple[Entry, ...]:
    """The entries that answer to a name: the one of that full name, or all of that short name.

    Raises:
        WeightsError: there is none; the sentence names the closest.
    """
    found = _answering(name)
    if not found:
        shorts = sorted({name for entry in entries().values() for name in entry.names[1:]})
        names = [*entries(), *shorts]
        close = difflib.get_close_matches(name, names)
        hint = (
            f"did you mean {' or '.join(close)}?" if close else "`restore models list` names all."
        )
        raise WeightsError(f"There is no model and no file {name!r}; {hint}")
    return found


def _answering(name: str) -> tuple[Entry, ...]:
    table = entries()
    if name in table:
        return (table[name],)
    return tuple(entry for entry in table.values() if name in entry.names)


def choose(model: str | None, task: str, channels: int, scale: float = 1) -> Entry | Path:
    """What `--model` means for a picture of these channels, and of so much that it is to be
    enlarged.

    Args:
        model: a full or short name or a checkpoint's path; names win. None is the task's default,
            as is one of CHOICES that no model of the task has; any model where there is no default.

    Returns:
        An entry for the task or the path of a file that exists. Where several entries answer, one
        of these channels if there is any; among them the one that enlarges just enough, or else the
        most.

    Raises:
        WeightsError: no entry and no file of that name.
        UsageError: the named entry is for another task.
    """
    everything = entries().values()
    if model and not _answering(model) and Path(model).is_file():
        return Path(model)
    named = [entry for entry in everything if entry.default] if model is None else find(model)
    fitting = [entry for entry in named if entry.task == task]
    if not fitting and model in CHOICES:
        known = [entry for entry in everything if entry.task == task]
        fitting = [entry for entry in known if entry.default] or known
    if not fitting:
        names = ", ".join(entry.name for entry in everything if entry.task == task)
        if not names:
            raise UsageError(
                f"No model for {task} is known; give --model one that `restore train` made."
            )
        if model is None:
            raise UsageError(
                f"There is no default model for {task}; choose one with --model: {names}."
            )
        raise UsageError(f"There is no {model} model for {task}; there are: {names}.")

    def misfit(entry: Entry) -> tuple[bool, bool, float]:
        away = _scale(entry) - scale
        return entry.channels != channels, away < 0, abs(away)

    return min(fitting, key=misfit)


def _scale(entry: Entry) -> float:
    """The most by which it enlarges."""
    known = entry.conditions.get("scale", 1)
    return max(map(float, known)) if isinstance(known, (list, tuple)) else float(known)


# The files


def cache_dir() -> Path:
    """Where downloads lie: RESTORE_CACHE, or the platform's cache directory."""
    return Path(os.environ.get("RESTORE_CACHE") or platformdirs.user_cache_dir("restore-cli"))


def place(entry: Entry) -> Path:
    """Where an entry's file lies, or will lie once it is fetched."""
    if isinstance(entry.source, Bundled):
        return _PACKAGE / "checkpoints" / entry.source.file
    return cache_dir() / f"{entry.name}-{entry.sha256[:8]}" / entry.source.file_name


def locate(entry: Entry, *, offline: bool = False, progress: Progress | None = None) -> Path:
    """The entry's file, downloaded if it is not here, its sha256 verified.

    Args:
        offline: do not download; HF_HUB_OFFLINE does the same.
        progress: called while downloading.

    Raises:
        WeightsError: the file is not here and cannot be fetched, or not what the table says; a
            damaged download is deleted.
    """
    path = place(entry)
    if not path.is_file():
        if isinstance(entry.source, Bundled):
            raise WeightsError(f"{entry.name} is missing at {path}; reinstall restore-cli.")
        if is_offline(offline):
            raise WeightsError(
                f"{entry.name} is not in the cache, and this is offline; {_elsewhere(entry)}."
            )
        check_license(entry)
        try:
            download(entry.source, path, progress, largest=entry.size)
        except ConnectionError as error:
            raise WeightsError(
                f"{entry.name} cannot be fetched ({error}); {_elsewhere(entry)}."
            ) from error
    found = digest(path)
    if found == entry.sha256:
        return path
    fault = f"{path} is damaged: its sha256 is {found}, not {entry.sha256}"
    if isinstance(entry.source, Bundled):
        raise WeightsError(f"{fault}; reinstall restore-cli.")
    path.unlink()
    raise WeightsError(
        f"{fault}; it was deleted, fetch it again with `restore models fetch {entry.name}`."
    )


def check_license(entry: Entry) -> None:
    """Raise WeightsError for a license that withholds something, unless `accept_license` was
    called.
    """
    if entry.terms and entry.name not in _accepted():
        raise WeightsError(
            f"Cannot take {entry.name} without your consent: {entry.terms} ({entry.license},"
            f" {entry.source})."
            f" If you accept that, add --accept-license {entry.name}, or run"
            f" `restore models fetch {entry.name} --accept-license {entry.name}`."
        )


def accept_license(name: str) -> None:
    """Keep in the cache that the user accepts the licenses of the entries of a name.

    Raises:
        WeightsError: there is no such entry, or the cache cannot be written.
        UsageError: it is one of CHOICES, which does not say which license is meant.
    """
    if name in CHOICES:
        raise UsageError(
            f"Cannot accept the license of {name!r}: it may be any model. Give its full name."
        )
    new = [entry for entry in find(name) if entry.terms and entry.name not in _accepted()]
    if not new:
        return
    try:
        cache_dir().mkdir(parents=True, exist_ok=True)
        with (cache_dir() / ACCEPTED).open("a", encoding="utf-8") as lines:
            lines.writelines(f"{entry.name} {entry.license}\n" for entry in new)
    except OSError as error:
        raise WeightsError(
            f"Cannot keep that a license is accepted: {error.strerror}. Check that {cache_dir()}"
            " can be"
            " written."
        ) from error


def _accepted() -> set[str]:
    """Names of entries whose licenses the user accepted."""
    file = cache_dir() / ACCEPTED
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    return {line.split()[0] for line in lines if line.strip()}


def add(name: str, file: Path) -> Path:
    """Put a file that was fetched elsewhere to its place in the cache, if its sha256 is an entry's.

    Args:
        name: the entry's; of those that share a short name, the one that has this sha256.

    Raises:
        WeightsError: it is another file, or cannot be read or written; or its license was not
            accepted.
    """
    found = [entry for entry in find(name) if not isinstance(entry.source, Bundled)]
    try:
        sha256 = digest(file)
        fitting = next((entry for entry in found if entry.sha256 == sha256), None)
        if not fitting:
            wanted = " or ".join(
                f"{entry.sha256} ({entry.name} from {entry.source})" for entry in found
            )
            raise WeightsError(
                f"Cannot add {file} as {name}: its sha256 is {sha256}, not"
                f" {wanted or 'that of a download'}."
                " Fetch the file again."
            )
        check_license(fitting)
        path = place(fitting)
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            shutil.copyfile(file, Path(folder) / path.name).replace(path)
    except OSError as error:
        raise WeightsError(
            f"Cannot add {file}: {error.strerror}. Check its path, and that {cache_dir()} can be"
            " written."
        ) from error
    return path


def remove(entry: Entry) -> Path:
    """Delete an entry's file from the cache, and what was left of fetching it.

    Raises:
        WeightsError: it is not there, or is a part of the package.
    """
    path = place(entry)
    if isinstance(entry.source, Bundled):
        raise WeightsError(
            f"Cannot remove {entry.name}: it is a part of restore-cli. Name a download."
        )
    if not path.is_file():
        raise WeightsError(
            f"Cannot remove {entry.name}: it is not in the cache. See `restore models list`."
        )
    shutil.rmtree(cache_dir() / path.relative_to(cache_dir()).parts[0])
    return path


def traits(path: Path) -> dict[str, str]:
    """What a file says of itself beside its header: how numbers are stored, and under which
    license.

    Raises:
        WeightsError: as `load`.
    """
    from safetensors import safe_open

    from restore_cli.archs import onnx

    if path.suffix.lower() == ONNX:
        return dict(onnx.read(path).traits)
    state = _read(path)[1]
    kinds = sorted({str(value.dtype).removeprefix("torch.") for value in state.values()})
    found = {"stored as": ", ".join(kinds)}
    with suppress(Exception):  # a pickle, which has no place for it
        with safe_open(path, "pt") as file:
            own = file.metadata() or {}
        found["license"] = brief(own.get("license") or own.get("modelspec.license") or "")
    return found


def _elsewhere(entry: Entry) -> str:
    return (
        f"run `restore models fetch {entry.name}` on a connected machine, and copy the file that"
        " it names to"
        f" {place(entry)} or pass its path as --model"
    )


# The networks


def load(model: Entry | Path, *, offline: bool = False, progress: Progress | None = None) -> Loaded:
    """Make the network of an entry, or of any checkpoint file, and fill it; on the CPU, float32.

    A foreign file that is no entry's, byte for byte, gets the network that its keys and shapes
    tell, or that of the entry whose layout it has; a fixed level is not taken over, for no layout
    tells it.

    Raises:
        WeightsError: as `locate`; or the file is no checkpoint, is damaged, holds code, or does not
            fit its network.
    """
    if not isinstance(model, Path):
        _check_spandrel(model.name, model)  # before it is fetched
        state = _read(locate(model, offline=offline, progress=progress))[1]
        return Loaded(model.name, _make(model.name, model, state), model)
    if model.suffix.lower() == ONNX:
        return _load_onnx(model)
    header, state = _read(model)
    if header is None:
        name, header, network = _recognise(model, state)
        if network:
            _check(network, header, model)
        return Loaded(name, network or _make(name, header, state), header)

    import torch

    from restore_cli import archs

    with torch.device(
        "meta"
    ):  # what a stranger's header asks for takes no memory before it is known to fit
        archs.build(header.arch, header.params, archs.Room.of(state))
    network = _make(str(model), header, state)
    _check(network, header, model)
    return Loaded(str(model), network, header)


def _load_onnx(path: Path) -> Loaded:
    """The network of an ONNX file, and what the file says if `restore models export` wrote it."""
    from restore_cli.archs import onnx

    network = onnx.read(path)
    header = _describe("onnx", {}, network.geometry)
    if network.stated:
        try:
            trained = json.loads(network.stated["trained"])
            values = {**vars(header), "task": network.stated["task"], "conditions": trained}
        except (ValueError, RecursionError) as error:
            raise WeightsError(f"The header of {path} is damaged.") from error
        header = fill_in(Header, values, f"The header of {path}", WeightsError)
    return Loaded(str(path), network, header)


def _make(name: str, header: Header, state: Mapping[str, Tensor]) -> Restorer:
    """The network of a header, filled and in evaluation mode."""
    from restore_cli import archs

    if header.by_spandrel:
        _check_spandrel(name, header)
        return _make_by_spandrel(name, header, state)
    network = archs.build(header.arch, header.params)
    try:
        network.load_state_dict(_fit(network, state))
    except ValueError as error:
        raise WeightsError(f"{name} does not fit {header.arch}: {error}.") from error
    network.precisions = header.precisions
    return network.eval()


def _check_spandrel(name: str, header: Header) -> None:
    """Raise WeightsError where spandrel has to make the network, and cannot."""
    if header.by_spandrel:
        from restore_cli import archs

        try:
            archs.check_spandrel()
        except ImportError as error:
            arch = header.arch.removeprefix(SPANDREL)
            raise WeightsError(
                f"Cannot run {name}: spandrel makes its network, {arch}. {error}"
            ) from error


def _make_by_spandrel(name: str, header: Header, state: Mapping[str, Tensor]) -> Restorer:
    """The network that spandrel makes, if it is the one that the header says."""
    from restore_cli import archs

    network = archs.build_by_spandrel(state)
    if not network:
        raise WeightsError(
            f"{name} does not fit {header.arch}: its tensors are of no known network."
        )
    geometry = network.geometry
    found = f"{network.architecture} with {geometry.channels} channels and scale {geometry.scale}"
    scale = header.conditions.get("scale", 1)
    if (
        found
        != f"{header.arch.removeprefix(SPANDREL)} with {header.channels} channels and scale {scale}"
    ):
        raise WeightsError(f"{name} does not fit {header.arch}: its tensors are of {found}.")
    return network


def _check(network: Restorer, header: Header, path: Path) -> None:
    """Raise WeightsError unless the network does what its header says, on a small image."""
    import torch

    geometry = network.geometry
    planes = geometry.channels + geometry.conditions
    side = (
        -(-32 // geometry.multiple) * geometry.multiple
        if header.by_spandrel
        else max(2, geometry.multiple)
    )
    try:
        with torch.inference_mode():
            made = tuple(network(torch.zeros(1, planes, side, side)).shape)
    except (
        Exception
    ) as error:  # parameters that fit the tensors can still contradict each other in any way
        raise WeightsError(
            f"Cannot run the network of {path}: its parameters contradict each other. Get another"
            " file."
        ) from error
    expected = (1, header.channels, geometry.scale * side, geometry.scale * side)
    scales = geometry.scale in (1, header.conditions.get("scale", geometry.scale))
    if geometry.channels != header.channels or made != expected or not scales:
        raise WeightsError(
            f"Cannot run the network of {path}: it makes {list(made)} of"
            f" {[1, planes, side, side]}, which is"
            " not what its header says. Get another file."
        )


def save(network: Restorer, path: Path, header: Header) -> None:
    """Write a checkpoint that `load` reads, in one step: the header, and the tensors that `pack`
    gives.

    Raises:
        WeightsError: it cannot be written.
    """
    from safetensors.torch import save as serialise

    own = {item.name: getattr(header, item.name) for item in fields(Header)}
    data = serialise(network.pack(), {HEADER: json.dumps({"format": FORMAT, **own})})
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
            (Path(folder) / path.name).write_bytes(data)
            (Path(folder) / path.name).replace(path)
    except OSError as error:
        raise WeightsError(f"The checkpoint {path} cannot be written: {error.strerror}.") from error


def _read(path: Path) -> tuple[Header | None, dict[str, Tensor]]:
    """A checkpoint's tensors, and its header if it is one of ours."""
    try:
        with path.open("rb") as file:
            start = file.read(9)
    except OSError as error:
        raise WeightsError(f"The checkpoint {path} cannot be read: {error.strerror}.") from error
    if start[8:] == b"{":  # after the length of its JSON
        header, state = _read_safetensors(path)
    elif (
        start[:2] == b"PK" or start[:1] == b"\x80"
    ):  # a zip archive, or a pickle of PyTorch before 1.6
        header, state = None, _read_pickle(path)
    else:
        raise WeightsError(f"{path} is no checkpoint, neither of safetensors nor of PyTorch.")
    named = isinstance(state, dict) and all(isinstance(key, str) for key in state)
    if not named or not all(map(_is_plain, state.values())):
        raise WeightsError(f"{path} holds no state dict, a mapping from names to tensors.")
    if header is None and all(
        key.startswith("module.") for key in state
    ):  # of several GPUs' training
        state = {key.removeprefix("module."): value for key, value in state.items()}
    if (
        sum(value.nbytes for value in state.values()) > 2 * path.stat().st_size
    ):  # some may be there twice
        raise WeightsError(
            f"Cannot load {path}: its tensors have more numbers than the file holds. Get another"
            " file."
        )
    return header, state


def _read_safetensors(path: Path) -> tuple[Header | None, dict[str, Tensor]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            header = _read_header(path, file.metadata() or {})
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not iterable itself)
    except SafetensorError as error:
        raise WeightsError(f"The checkpoint {path} is damaged: {brief(str(error))}.") from error
    return header, state


def _read_header(path: Path, metadata: Mapping[str, str]) -> Header | None:
    if HEADER not in metadata:
        return None
    try:
        if len(metadata[HEADER]) > HEADER_SIZE:
            raise ValueError("it is too long")
        values = json.loads(metadata[HEADER])
        if _is_deeper(values, HEADER_DEPTH):
            raise ValueError("it is nested too deeply")
        version = values.pop("format")
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError) as error:
        raise WeightsError(f"The header of {path} is damaged.") from error
    if version not in (1, FORMAT):
        raise WeightsError(
            f"{path} has format {brief(repr(version))}, which this version cannot read; upgrade"
            " restore-cli."
        )
    header = fill_in(Header, values, f"The header of {path}", WeightsError)
    return _renew(header) if version == 1 else header


def _renew(header: Header) -> Header:
    """The header of a file of format 1, as it would be written now."""
    recipe = header.recipe
    if isinstance(params := recipe.get("params"), Mapping):
        recipe = {**recipe, "params": renew(header.arch, params)}
    return replace(header, params=renew(header.arch, header.params), recipe=recipe)


def renew(arch: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
    """The parameters of a network that a file of format 1 holds, with what they left out."""
    return {**FIRST.get(arch.lower(), {}), **params}


def _is_deeper(value: Any, levels: int) -> bool:
    """Whether tables and lists are nested more than so many levels deep."""
    if not isinstance(value, (dict, list)):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_is_deeper(one, levels - 1) for one in inner)


def _read_pickle(path: Path) -> Any:
    """What is in it, which may be anything that is no code."""
    import torch

    try:
        _check_unpacked(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        found = re.search(r"GLOBAL (\S+) was not", str(error))
        raise WeightsError(
            f"Cannot load {path}: it holds more than tensors and was not opened, for"
            f" {brief(found[1]) if found else 'they'} could run code."
            " Get it as a safetensors file, or as a state dict."
        ) from error
    except WeightsError:
        raise
    except Exception as error:  # PyTorch's reader has no error of its own for damaged files
        raise WeightsError(f"The checkpoint {path} is damaged, or none of PyTorch's.") from error
    for _ in range(2):  # a training's state may keep the network's in it
        if isinstance(state, dict):
            state = next(
                (state[key] for key in WRAPPERS if isinstance(state.get(key), dict)), state
            )
    return state


def _is_plain(value: object) -> bool:
    """Whether it is a tensor whose numbers are there, and real."""
    import torch

    if not isinstance(value, torch.Tensor):
        return False
    dense = value.layout == torch.strided and value.device.type == "cpu"
    return dense and not (value.is_quantized or value.is_complex())


def _check_unpacked(path: Path) -> None:
    """Raise WeightsError for an archive that unpacks to more than its size: PyTorch compresses
    nothing.
    """
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            size = sum(info.file_size for info in archive.infolist())
        if size > path.stat().st_size:
            raise WeightsError(
                f"Cannot load {path}: it unpacks to {size:,} bytes, more than its own size, as no"
                " file that"
                " PyTorch wrote. Get another file."
            )


def _recognise(path: Path, state: Mapping[str, Tensor]) -> tuple[str, Header, Restorer | None]:
    """The name and header of a checkpoint without one, and its network if that is made already.

    It is the entry's of these bytes, or says by its keys and shapes what network it is, or has the
    layout of an entry, or is known to the optional package of others' networks.
    """
    from restore_cli import archs

    foreign = [entry for entry in entries().values() if not isinstance(entry.source, Bundled)]
    sha256 = digest(path)
    for entry in foreign:
        if entry.sha256 == sha256:
            return entry.name, entry, None
    for arch, params in archs.infer(state):
        if geometry := _geometry(arch, params, state):
            return str(path), _describe(arch, params, geometry), None
    layouts: dict[tuple[str, str], Entry] = {}
    for entry in foreign:
        if not entry.by_spandrel:
            layouts.setdefault((entry.arch, repr(entry.params)), entry)
    for like in layouts.values():
        if _geometry(like.arch, like.params, state):
            told = {key: level for key, level in like.conditions.items() if isinstance(level, list)}
            header = Header(
                task=like.task,
                arch=like.arch,
                params=like.params,
                channels=like.channels,
                conditions=told,
            )
            return str(path), header, None
    hint = "Spandrel does not know them, either."
    try:
        if network := archs.build_by_spandrel(state):
            header = _describe(f"{SPANDREL}{network.architecture}", {}, network.geometry)
            if network.task:
                header = replace(header, task=network.task, conditions=network.levels)
            return str(path), header, network
    except ImportError as error:
        hint = str(error)
    except WeightsError as error:
        raise WeightsError(f"{path} is refused. {error}") from error
    known = ", ".join(dict.fromkeys(like.arch.partition(":")[2] for like in layouts.values()))
    found = ", ".join(f"{key} {list(value.shape)}" for key, value in list(state.items())[:3])
    raise WeightsError(
        f"{path} has no header of ours, and its {len(state)} tensors, such as {found}, are of no"
        " known"
        f" network; known are {known}. {hint}"
    )


def _describe(arch: str, params: Mapping[str, Any], geometry: Geometry) -> Header:
    """A header for a network of others; what it does that does not enlarge, only its user knows."""
    larger = geometry.scale > 1
    return Header(
        task="sr" if larger else "",
        arch=arch,
        params=params,
        channels=geometry.channels,
        conditions={"scale": geometry.scale} if larger else {},
    )


def _geometry(arch: str, params: Mapping[str, Any], state: Mapping[str, Tensor]) -> Geometry | None:
    """The geometry of a network that takes this state dict; None of one that does not."""
    import torch

    from restore_cli import archs

    with suppress(ValueError, WeightsError):
        with torch.device("meta"):  # shapes without memory
            network = archs.build(arch, params, archs.Room.of(state))
        _fit(network, state)
        return network.geometry
    return None


def _fit(network: Restorer, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state dict as the network names it.

    Raises:
        ValueError: says how keys and shapes differ from the network's.
    """
    wanted = network.state_dict()
    try:
        given = network.adopt(state)
    except (LookupError, ValueError, RuntimeError) as error:
        raise ValueError("some of its keys or shapes are not of that layout") from error
    faults = {
        "missing": wanted.keys() - given.keys(),
        "unexpected": given.keys() - wanted.keys(),
        "of another shape": {
            f"{key} {list(given[key].shape)} for {list(wanted[key].shape)}"
            for key in wanted.keys() & given.keys()
            if given[key].shape != wanted[key].shape
        },
    }
    fault = "; ".join(
        f"{len(keys)} {what}, such as {min(keys)}" for what, keys in faults.items() if keys
    )
    if fault:
        raise ValueError(fault)
    return given
