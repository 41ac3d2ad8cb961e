"""Measures models, and what they are compared with, on sets of images."""

from __future__ import annotations

import copy
import ctypes
import hashlib
import json
import math
import os
import platform
import re
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from restore_cli import __version__
from restore_cli.archs.layers import flop_counter
from restore_cli.bench.baselines import Peer, peers
from restore_cli.bench.published import published
from restore_cli.datasets.known import Example, ImageSet, find_sets, known, open_set
from restore_cli.degradations import Degradation, find_degradation
from restore_cli.download import sha256_of
from restore_cli.engine import Settings, find_device
from restore_cli.errors import PictureError, RestoreError, UsageError
from restore_cli.image import Picture, luma, read_picture, round_to_bytes, to_gray
from restore_cli.image import Pixels as Image
from restore_cli.levels import to_plain
from restore_cli.metrics import SSIM_WINDOW, psnr, psnr_b, ssim
from restore_cli.metrics.perceptual import Metric
from restore_cli.models import catalog
from restore_cli.models.catalog import Entry
from restore_cli.models.checkpoint import Checkpoint
from restore_cli.models.store import cache_dir
from restore_cli.network import Restorer
from restore_cli.pipeline.apply import restore
from restore_cli.pipeline.networks import Models
from restore_cli.report.bench import Origin
from restore_cli.report.html import Comparison, Row, Version
from restore_cli.tasks import Task

COSTS = ("seconds", "MP", "channels", "peak MB")  # of an image, beside its figures
RESAMPLES = 10_000  # of the bootstrap
LEAST = 5  # images of a verdict, as the smallest sets have; fewer make an interval too narrow
SMALL = 64  # pixels a side of what a contestant runs on before the clock starts
KEPT_DAYS = 30  # measurements of a run that never ended


@dataclass(frozen=True)
class Request:
    """What to measure.

    Attributes:
        task: name of the task.
        sets: names or folders, as `open_set` takes them; none are all that `data` has for the task.
        data: folders that hold sets of these names.
        pairs: "CLEAN:DAMAGED", folders of real pairs in each set.
        degrade: take the images of each set as clean, even where it is known to have no clean ones.
        levels: of the damage: the task's fields; none are the task's own, or of real pairs none at
            all.
        models: as `--model` takes them; None is the task's default.
        peers: names of `peers.peers`.
        metrics: what to measure beside PSNR and SSIM.
        gray: take each image's luma, rounded to 8 bits, in place of its colours.
        full_range: where gray, take what MATLAB's rgb2gray does, which uses all of 0..255, and luma
            does not.
        clip: round damaged images to 8 bits before they are restored, as files are.
        published: add figures of papers for the same sets and levels.
        shown: images of each set and level, the worst first, to keep pictures of.
        settings: how to run the networks.
        offline: never download.
        fresh: forget what an interrupted run has measured.
    """

    task: str
    sets: tuple[str, ...]
    data: tuple[Path, ...] = ()
    pairs: str = ""
    degrade: bool = False
    levels: tuple[Mapping[str, Any], ...] = ()
    models: tuple[str | None, ...] = (None,)
    peers: tuple[str, ...] = ()
    metrics: tuple[Metric, ...] = ()
    gray: bool = False
    full_range: bool = False
    clip: bool = False
    published: bool = False
    shown: int = 0
    settings: Settings = field(default_factory=Settings)
    offline: bool = False
    fresh: bool = False


@dataclass(frozen=True)
class Moment:
    """Something was measured: `done` images of `total`, of them `kept` by a run that was
    interrupted.
    """

    done: int
    total: int
    kept: int
    note: str


@dataclass(frozen=True)
class Notice:
    """What the user should know of a set before it is measured."""

    warning: str


@dataclass(frozen=True)
class Bench:
    """All that was measured."""

    rows: tuple[Row, ...]
    comparisons: tuple[Comparison, ...] = ()


@dataclass(frozen=True)
class Case:
    """A set at a level of damage; `name` is what its rows call it, `faults` say what is left
    out.
    """

    images: ImageSet
    damage: Degradation
    level: Mapping[str, Any]
    name: str
    faults: tuple[str, ...]


class Contestant:
    """What is measured: here the damaged image itself."""

    name = "input"
    identity = "input"  # changes with whatever may change its results
    about = ""  # of a library: its version and settings
    restores = False
    ready: tuple[Degradation, int] | None = None  # for which task and channels

    def get_ready(self, observed: Image, damage: Degradation) -> None:
        """Load what such images take and run on a part of one, before the clock starts."""
        if self.ready != (damage, observed.shape[2]):
            small = observed[:SMALL, :SMALL]
            missing = np.isnan(small)
            alike = not missing.all() and missing.any() == np.isnan(observed).any()
            self.restore(small if alike else observed, damage)
            self.ready = damage, observed.shape[2]

    def restore(self, observed: Image, damage: Degradation) -> Image:
        """The result, H x W x C in [0, 1]."""
        return damage.task().unrestored(observed)

    def network(self, observed: Image, task: Task) -> Checkpoint | None:  # noqa: ARG002
        """What restores such an image, if it is a network."""
        return None

    def leave(self) -> None:
        """It is another's turn."""


class Library(Contestant):
    """A method of a kept library."""

    restores = True

    def __init__(self, peer: Peer) -> None:
        peer.check()
        self.name, self.identity = peer.name, f"{peer.name} {peer.about}"
        self.about, self.peer = peer.about, peer

    def restore(self, observed: Image, damage: Degradation) -> Image:
        """As the library does it."""
        return self.peer.restore(observed, damage)


class Model(Contestant):
    """A model by its name, which may stand for several networks; each is loaded when it is first
    needed.
    """

    restores = True

    def __init__(self, name: str | None, task: str, settings: Settings, offline: bool) -> None:
        chosen = catalog.choose(name, task, 3)  # an unknown one is refused before any work
        self.given, self.settings, self.models = name, settings, Models(offline)
        self.name = (name or "default") + (", ensemble" if settings.ensemble else "")
        file = hashlib.sha256(chosen.read_bytes()).hexdigest() if isinstance(chosen, Path) else ""
        self.identity = f"{name} {file} {settings}"

    def restore(self, observed: Image, damage: Degradation) -> Image:
        """As its command does, without reading and writing."""
        task = damage.task()
        task = task.look(Picture(observed)) or task
        return restore(Picture(observed), task, self.network(observed, task), self.settings).pixels

    def network(self, observed: Image, task: Task) -> Checkpoint:
        """The network for such an image, loaded."""
        height, width, channels = observed.shape
        name = self.given or task.model
        return self.models.find(name, task.name, channels, task.enlargement(height, width))

    def leave(self) -> None:
        """Free the memory."""
        self.models.loaded.clear()


def count_flops(network: Restorer) -> float:
    """Floating point operations for a pixel of the result; a multiplication and an addition are
    two.
    """
    network = copy.deepcopy(network).requires_grad_(False)  # which the counter's hooks would follow
    geometry = network.geometry
    side = 8 * geometry.multiple
    with flop_counter() as counter, torch.inference_mode():
        network(torch.zeros(1, geometry.channels + geometry.conditions, side, side))
    return float(counter.get_total_flops()) / (side * geometry.scale) ** 2


def bench(*requests: Request) -> Iterator[Notice | Moment | Bench]:
    """Measure, telling of each image, and at the end give all; the damaged images themselves come
    first.

    Before all that, a notice for each known set that has more or fewer images than it should, and
    for each image that is left out because it cannot be read.

    What is measured is kept until the caller, who has the end, asks for more: so a run that was
    interrupted, or whose report could not be written, goes on where it was, and so does another
    that overlaps with it.

    Raises:
        UsageError, WeightsError: a set, level, model, peer or metric is not to be had.
        PictureError: no image of a set can be read.
        RestoreError: what is measured cannot be kept.
    """
    runs = [Run(request) for request in requests]
    _tell_apart(runs)
    warnings = (
        warning
        for run in runs
        for case in run.cases
        for warning in (case.images.warning, *case.faults)
    )
    yield from map(Notice, dict.fromkeys(filter(None, warnings)))
    with closing(Journal()) as journal:
        journal.forget(key for run in runs if run.request.fresh for key in run.keys)
        keys = [key for run in runs for key in run.keys]
        kept = sum(journal.find(key) is not None for key in keys)
        notes = (note for run in runs for note in run.measure(journal))
        for done, note in enumerate(notes, 1):
            yield Moment(done, len(keys), kept, note)
        groups: dict[tuple[str, ...], dict[str, Row]] = {}  # what is compared, its rows by model
        for row in (row for run in runs for case in run.rows for row in case):
            groups.setdefault((row.task, row.set, row.level, row.protocol), {}).setdefault(
                row.model, row
            )
        rows = [row for group in groups.values() for row in judge(list(group.values()))]
        found = [row for run in runs for case in run.cases for row in _published(run.request, case)]
        papers = [row for number, row in enumerate(found) if row not in found[:number]]
        comparisons = tuple(comparison for run in runs for comparison in run.compare())
        yield Bench((*rows, *papers), comparisons)
        journal.forget(keys)


def _tell_apart(runs: Sequence[Run]) -> None:
    """Call sets of one name by their folders."""
    folders: dict[str, set[Path]] = {}
    for case in (case for run in runs for case in run.cases):
        folders.setdefault(case.name.lower(), set()).add(case.images.folder.resolve())
    for run in runs:
        run.cases = [
            replace(case, name=str(case.images.folder))
            if len(folders[case.name.lower()]) > 1
            else case
            for case in run.cases
        ]


class Run:
    """A request under way; `rows` are those of each case, once all is measured."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.contestants = [Contestant(), *_contestants(request)]
        self.cases = list(_cases(request))
        self.keys = [
            self._key(contestant, case, example)
            for contestant in self.contestants
            for case in self.cases
            for example in case.images.examples
        ]
        self.rows: list[list[Row]] = [[] for _ in self.cases]

    def _key(self, contestant: Contestant, case: Case, example: Example) -> str:
        """Changes with whatever may change what is measured of an image."""
        paths = filter(None, (example.clean, example.damaged))
        files = [
            (str(path.absolute()), path.stat().st_size, path.stat().st_mtime) for path in paths
        ]
        metrics = [metric.name for metric in self.request.metrics]
        damage = [repr(case.damage), files, _colors(self.request), self.request.clip]
        whole = [_code(), contestant.identity, *damage, metrics]
        return hashlib.sha256(json.dumps(whole).encode()).hexdigest()

    def measure(self, journal: Journal) -> Iterator[str]:
        """One contestant after the other, so that one model is in memory at a time; a note for each
        image.
        """
        keys = iter(self.keys)
        for contestant in self.contestants:
            for number, case in enumerate(self.cases):
                images = {}
                for example in case.images.examples:
                    key = next(keys)
                    figures = journal.find(key)
                    if figures is None:
                        figures = _measure(contestant, case.damage, example, self.request)
                        journal.add(key, figures)
                    images[example.name] = figures
                    yield f"{contestant.name}, {case.name}"
                self.rows[number].append(_row(self.request, case, contestant, images))
            contestant.leave()

    def compare(self) -> Iterator[Comparison]:
        """Pictures to look at, of each case."""
        for case, rows in zip(self.cases, self.rows, strict=True):
            yield from _compare(self.request, case, self.contestants, rows)


def _contestants(request: Request) -> Iterator[Contestant]:
    for name in request.models:
        yield Model(name, request.task, request.settings, request.offline)
    known = peers(request.task)
    for name in request.peers:
        if name not in known:
            names = ", ".join(known) or "none"
            raise UsageError(f"There is no peer {name!r} for {request.task}; there are: {names}.")
        yield Library(known[name])


def _cases(request: Request) -> Iterator[Case]:
    sets = request.sets or find_sets(request.task, request.data)
    if not sets:
        raise UsageError("Nothing says what to measure on; name a set, or a folder with --data.")
    kind = find_degradation(request.task)
    seen: dict[Path, str] = {}
    for word in sets:
        for level in request.levels or kind.validation:
            try:
                damage = kind(**level)
            except TypeError as error:
                raise UsageError(
                    f"{request.task} has no level {_words(level)}; check it."
                ) from error
            scale = round(damage.task().enlargement(100, 100))
            images = open_set(
                word,
                request.data,
                scale=scale if scale > 1 else None,
                pairs=request.pairs,
                degrade=request.degrade,
                offline=request.offline,
            )
            if not damage.paired:
                examples = tuple(replace(example, damaged=None) for example in images.examples)
                images = replace(images, examples=examples)
            images, faults = _without_unreadable(images, seen)
            if images.examples[0].damaged and not request.levels and scale == 1:
                yield Case(
                    images, kind(), {}, images.name, faults
                )  # whose damage nobody has to describe
                break
            yield Case(images, damage, level, images.name, faults)


def _without_unreadable(
    images: ImageSet, seen: dict[Path, str]
) -> tuple[ImageSet, tuple[str, ...]]:
    """The set without examples that cannot be read, and why they cannot.

    Args:
        seen: what is wrong with each file, nothing of those that can be read; is added to.

    Raises:
        PictureError: none can be read.
    """
    readable, faults = [], []
    for example in images.examples:
        paths = [path for path in (example.clean, example.damaged) if path]
        for path in paths:
            if path not in seen:
                try:
                    read_picture(path)
                    seen[path] = ""
                except PictureError as error:
                    seen[path] = str(error)
        fault = next(filter(None, (seen[path] for path in paths)), "")
        if fault:
            faults.append(fault)
        else:
            readable.append(example)
    if not readable:
        raise PictureError(faults[0])
    return replace(images, examples=tuple(readable)), tuple(
        f"left out: {fault}" for fault in faults
    )


def _read(path: Path, request: Request) -> Image:
    pixels = read_picture(path).opaque_pixels()
    if not request.gray or pixels.shape[2] == 1:
        return pixels
    return round_to_bytes(to_gray(pixels) if request.full_range else luma(pixels)[..., None])


def _colors(request: Request) -> str:
    """What follows a set's name: " luma" or " gray", or nothing where its images are as they
    are.
    """
    return "" if not request.gray else " gray" if request.full_range else " luma"


def _open(damage: Degradation, example: Example, request: Request) -> tuple[Image, Image]:
    """An example's clean and damaged image; the damage is the task's where there is no real one.

    Raises:
        UsageError: nothing of it would be scored, or only one of a pair is gray.
    """
    clean = damage.crop_to_scale(_read(example.clean, request))
    if not damage.crop_border(clean).size:
        raise UsageError(
            f"{example.clean} is too small, nothing of it is left to be scored; remove it."
        )
    if example.damaged:
        observed = _read(example.damaged, request)
        if observed.shape[2] != clean.shape[2]:
            pair = f"{example.clean} and {example.damaged}"
            raise UsageError(f"Only one of {pair} is gray; convert one of them, or give --gray.")
    else:
        observed = damage.apply(clean, np.random.RandomState(0))
    return clean, round_to_bytes(observed) if request.clip else observed


def _measure(
    contestant: Contestant, damage: Degradation, example: Example, request: Request
) -> dict[str, float]:
    clean, observed = _open(damage, example, request)
    contestant.get_ready(observed, damage)
    with peak_memory() as memory:
        started = time.perf_counter()
        restored = contestant.restore(observed, damage)
        seconds = time.perf_counter() - started
    if contestant.restores:  # what was observed is scored as it is
        restored = round_to_bytes(restored)
    figures = score(restored, clean, damage)
    for metric in request.metrics:
        figure = metric.measure(
            damage.crop_border(restored), damage.crop_border(clean), offline=request.offline
        )
        if figure is not None:
            figures[metric.title] = figure
    height, width, channels = clean.shape
    return {
        **figures,
        "seconds": seconds,
        "MP": height * width / 1e6,
        "channels": channels,
        **memory,
    }


def score(restored: Image, clean: Image, damage: Degradation) -> dict[str, float]:
    """PSNR and PSNR-B in dB and SSIM, over all channels and, as "Y", on BT.601 luma of studio
    range.

    Args:
        restored, clean: H x W x C in [0, 1]; gray is its own luma. Nothing is rounded here.
        task: says which border is left out.
    """
    pair = damage.crop_border(restored), damage.crop_border(clean)
    on_luma = tuple(luma(image)[..., None] if image.shape[2] == 3 else image for image in pair)
    figures = {}
    for kind, (image, reference) in (("", pair), (" Y", on_luma)):
        figures[f"PSNR{kind}"] = psnr(image, reference)
        if min(image.shape[:2]) >= SSIM_WINDOW:
            figures[f"SSIM{kind}"] = ssim(image, reference)
    if damage.task().has_blocking:
        figures["PSNR-B Y"] = psnr_b(*on_luma)
    return figures


@dataclass(frozen=True)
class Remeasured:
    """A score of the table, and what it is now: PSNR in dB, None where its set is not at hand.

    `warning` says if the set is not whole.
    """

    words: str
    listed: float
    measured: float | None
    warning: str = ""


def remeasure(entry: Entry, data: Sequence[Path]) -> Iterator[Remeasured]:
    """Measure an entry's own scores again, in fp32; those that its authors published are left out.

    Raises:
        UsageError, WeightsError: as `bench`.
    """
    for score in entry.scores:
        if score.protocol.published:
            continue
        level = dict(score.levels)
        words = f"{entry.name}, {score.title} {_words(level)}".rstrip()
        try:
            warning = open_set(score.set, data, offline=True).warning
        except (UsageError, RestoreError):
            yield Remeasured(words, score.psnr, None)
            continue
        request = Request(
            entry.task,
            (score.set,),
            tuple(data),
            levels=(level,),
            models=(entry.name,),
            gray=score.protocol.luma,
            full_range=score.protocol.full_range,
            settings=Settings(precision="fp32"),
        )
        *_, found = bench(request)
        assert isinstance(found, Bench)
        yield Remeasured(words, score.psnr, _mean(found.rows[1].images.values()), warning)


@contextmanager
def peak_memory() -> Iterator[dict[str, float]]:
    """Holds, once the block is left, "peak MB": the most memory that it took beside what was held
    before.

    That is memory of the GPU where the block used any; it stays empty where the system does not
    tell.
    """
    found: dict[str, float] = {}
    gpu = torch.cuda.is_available()
    if gpu:
        torch.cuda.reset_peak_memory_stats()
    there, here = torch.cuda.memory_allocated() if gpu else 0, _reset_peak()
    yield found
    taken = torch.cuda.max_memory_allocated() - there if gpu else 0
    if taken:
        found["peak MB"] = taken / 1e6
    elif here is not None:
        found["peak MB"] = _peak() - here


def _reset_peak() -> float | None:
    """Make the peak what is held now, and return it in MB; None where that cannot be done."""
    try:
        ctypes.CDLL(None).malloc_trim(
            0
        )  # what was freed but not returned would be taken again for nothing
        Path("/proc/self/clear_refs").write_text("5")
        return _peak()
    except (OSError, AttributeError, TypeError):  # no Linux, or no glibc
        return None


def _peak() -> float:
    """The most memory that was held at once, in MB."""
    [kilobytes] = re.findall(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    return int(kilobytes) * 1024 / 1e6


def _row(
    request: Request, case: Case, contestant: Contestant, images: Mapping[str, Mapping[str, float]]
) -> Row:
    headline = case.damage.headline_metric
    values = {name: figures[headline] for name, figures in images.items()}
    figures: dict[str, float | int | None] = {"images": len(images)}
    for key in dict.fromkeys(key for image in images.values() for key in image):
        found = [image[key] for image in images.values() if key in image]
        own = [image.get(key.removesuffix(" Y")) for image in images.values() if key in image]
        of_gray = (
            key.endswith(" Y") and key != case.damage.headline_metric and found == own
        )  # which is its own luma
        if key not in COSTS and not of_gray:
            figures[key] = _mean(found)
    notes = list(_gaps(images, headline))
    files: dict[str, str] = {}
    figures |= {"median": float(np.median(list(values.values()))), "worst": min(values.values())}
    if contestant.restores:
        seconds = sum(image["seconds"] for image in images.values())
        figures["seconds"] = seconds / len(images)
        figures["MP/s"] = sum(image["MP"] for image in images.values()) / max(seconds, 1e-9)
        if all("peak MB" in image for image in images.values()):
            figures["peak MB"] = max(image["peak MB"] for image in images.values())
        kinds = {images[example.name]["channels"]: example for example in case.images.examples}
        observed = [_open(case.damage, example, request)[1] for example in kinds.values()]
        restorers = [contestant.network(image, case.damage.task()) for image in observed]
        networks = {one.name: one for one in restorers if one}
        costs = [measure_costs(one.network) for one in networks.values()]
        if len(costs) == 1:
            figures |= costs[0]
        elif costs:
            notes.append("one network for gray, another for colour")
        for one in networks.values():
            notes += [
                words for words in untrained(case.level, one.conditions) if words not in notes
            ]
        files = {name: _sha256(one) for name, one in networks.items()}
    return Row(
        task=request.task,
        set=case.name + _colors(request),
        level=_words(case.level),
        model=contestant.name,
        protocol=_protocol(request, case),
        measured=True,
        figures=figures,
        images=values,
        note="; ".join(notes),
        quality=headline,
        about=contestant.about,
        details=images,
        files=files,
    )


def measure_costs(network: Restorer) -> dict[str, float]:
    """A network's parameters, and thousands of floating point operations for a pixel of the
    result.
    """
    if network.on_cpu:  # by another library, whose work is not counted
        return {}
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return {"parameters": parameters, "kFLOP/pixel": count_flops(network) / 1e3}


def _sha256(model: Checkpoint) -> str:
    return model.header.sha256 if isinstance(model.header, Entry) else sha256_of(Path(model.name))


def untrained(level: Mapping[str, Any], trained: Mapping[str, Any]) -> Iterator[str]:
    """What of a level lies outside of that for which a model was trained: "trained for sigma 25,
    not 15".
    """
    for key, value in level.items():
        known = to_plain(trained.get(key, value))
        values = list(known) if isinstance(known, (list, tuple)) else [known]
        ranges = len(values) == 2 and all(_is_number(one) for one in (*values, value))
        inside = values[0] <= value <= values[1] if ranges else _text(value) in map(_text, values)
        if not inside:
            words = (" to " if ranges else " or ").join(dict.fromkeys(map(_text, values)))
            yield f"trained for {key} {words}, not {_text(value)}"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _text(value: Any) -> str:
    return f"{value:g}" if _is_number(value) else str(value)


def _gaps(images: Mapping[str, Mapping[str, float]], headline: str) -> Iterator[str]:
    """Which figures of a row are not of all its images, or not alike."""
    equal = sum(math.isinf(image[headline]) for image in images.values())
    if 0 < equal < len(images):
        yield f"not in the means: {equal} of {len(images)} images, equal to the clean ones"
    for key in dict.fromkeys(key for image in images.values() for key in image if key not in COSTS):
        count = sum(key in image for image in images.values())
        if count < len(images) and not key.endswith(" Y"):
            yield f"{key}: {count} of {len(images)} images"
    gray = sum(image["channels"] == 1 for image in images.values())
    if 0 < gray < len(images):
        yield f"gray, so Y of full range: {gray} of {len(images)} images"


def _protocol(request: Request, case: Case) -> str:
    real = case.images.examples[0].damaged is not None
    source = known().get(case.images.name.lower())
    parts = ["real pairs" if real else case.damage.protocol]
    if real and source and source.damage:
        parts[0] += f", {source.damage}"
    if real and case.damage.crop_to_scale(np.zeros((97, 97, 1), np.float32)).shape[0] < 97:
        parts.append("clean sides cut to a multiple of the scale")
    if request.gray:
        kind = "gray of full range" if request.full_range else "luma"
        parts.append(f"of the {kind}, rounded to 8 bits")
    if request.clip:
        parts.append("damaged images rounded to 8 bits")
    parts.append("results rounded to 8 bits, the input scored as it is")
    if request.metrics:
        parts.append(
            f"{' and '.join(metric.title for metric in request.metrics)} by pyiqa, all rounded to"
            " 8 bits"
        )
    if case.damage.crop_border(np.zeros((100, 100, 1), np.float32)).shape[0] < 100:
        parts.append("borders of the scale left out")
    return "; ".join(parts)


def judge(rows: Sequence[Row]) -> list[Row]:
    """Say of the restored rows of a case which is best, where that is more than chance.

    Each is compared with the one of the highest mean: the mean difference over the images, and its
    interval of 95 % by a paired bootstrap. The best is named a winner only if no other's interval
    holds zero, and there are LEAST images or more. What two restore exactly is no difference.
    """
    rivals = [row for row in rows if row.model != Contestant.name]
    if len(rivals) < 2:
        return list(rows)
    best = max(rivals, key=lambda row: _mean(row.images.values()))
    few = len(best.images) < LEAST
    notes, ties = {}, []
    for row in rivals:
        if row is best:
            continue
        pairs = [(row.images[name], value) for name, value in best.images.items()]
        differences = [0.0 if own == value else own - value for own, value in pairs]
        low, high = interval(np.array(differences))
        words = [_signed(value) for value in (sum(differences) / len(differences), low, high)]
        within = "" if few else f" [{words[1]}, {words[2]}]"
        notes[row.model] = f"{words[0]}{within} dB to {best.model}"
        if low <= 0 <= high:
            ties.append(row.model)
    notes[best.model] = f"not told apart from {', '.join(ties)}" if ties else "best"
    if few:
        notes[best.model] = f"too few images to name a best, {len(best.images)} of at least {LEAST}"
    return [
        replace(row, note="; ".join(filter(None, (notes.get(row.model), row.note)))) for row in rows
    ]


def interval(differences: NDArray[np.float64]) -> tuple[float, float]:
    """Where the mean lies with 95 %, by the percentiles of 10,000 resamples, drawn with seed 0.

    Differences may be infinite, and so the bounds; of those to both sides nothing is known.
    """
    drawn = np.random.default_rng(0).choice(differences, (RESAMPLES, len(differences)))
    with np.errstate(invalid="ignore"):
        means = np.sort(drawn.mean(axis=1))  # NaN comes last
    if np.isnan(means[-1]):
        return -math.inf, math.inf
    return float(means[round(0.025 * RESAMPLES)]), float(means[round(0.975 * RESAMPLES) - 1])


def _signed(value: float) -> str:
    return "±∞" if math.isnan(value) else f"{value:+.2f}".replace("inf", "∞")


def _mean(values: Iterable[float]) -> float:
    """Of what is finite; infinite only if nothing is."""
    finite = [value for value in values if math.isfinite(value)]
    return float(np.mean(finite)) if finite else math.inf


def _published(request: Request, case: Case) -> Iterator[Row]:
    """What papers say of the set and level, as far as they measure the same colours."""
    if not request.published:
        return
    gray = _read(case.images.examples[0].clean, request).shape[2] == 1
    for figure in published(request.task, case.images.name, case.level):
        if request.gray and not figure.luma:
            continue
        kind = " Y" if figure.luma and (not gray or case.damage.headline_metric == "PSNR Y") else ""
        yield Row(
            task=request.task,
            set=case.images.name + _colors(request),
            level=_words(case.level),
            model=figure.model,
            protocol=figure.protocol,
            measured=False,
            figures={f"PSNR{kind}": figure.psnr, f"SSIM{kind}": figure.ssim},
            images={},
            note=f"{figure.paper}, {figure.where}",
            quality=case.damage.headline_metric,
        )


def _compare(
    request: Request, case: Case, contestants: Sequence[Contestant], rows: Sequence[Row]
) -> Iterator[Comparison]:
    """Pictures of the images on which the first model is worst."""
    judged = rows[1] if len(rows) > 1 else rows[0]
    worst = sorted(judged.images, key=lambda name: judged.images[name])[: request.shown]
    examples = {example.name: example for example in case.images.examples}
    for name in worst:
        clean, observed = _open(case.damage, examples[name], request)
        versions = [
            Version(
                row.model,
                round_to_bytes(contestant.restore(observed, case.damage)),
                "equal" if row.images[name] == np.inf else f"{row.images[name]:.2f} dB",
            )
            for contestant, row in zip(contestants, rows, strict=True)
        ]
        title = ", ".join(filter(None, (f"{case.name}/{name}", _words(case.level))))
        yield Comparison(title, (*versions, Version("reference", clean)))


def _words(level: Mapping[str, Any]) -> str:
    return " ".join(f"{key} {_text(value)}" for key, value in level.items())


def origin(settings: Settings, command: str) -> Origin:
    """Where figures come from that are measured now, on this machine and with these settings."""
    device = find_device(settings.device)
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)
    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    return Origin(
        version=__version__,
        command=command,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=", ".join(filter(None, (system, _processor(), f"{os.cpu_count()} CPUs"))),
        device=gpu,
        threads=torch.get_num_threads(),
        torch=torch.__version__,
        precision=settings.precision,
    )


def _processor() -> str:
    """Its name, where the system tells."""
    try:
        told = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    except OSError:
        return platform.processor()
    return told[1] if told else platform.processor()


@cache
def _code() -> str:
    """Of the package and its table of models."""
    code = hashlib.sha256(repr(catalog.entries()).encode())
    for path in sorted(Path(catalog.__file__).parents[1].rglob("*.py")):
        code.update(path.read_bytes())
    return code.hexdigest()


class Journal:
    """What was measured, by what decides it, in a file that outlives a kill; it forgets after 30
    days.

    Raises:
        RestoreError: the file cannot be used.
    """

    def __init__(self) -> None:
        self.path = cache_dir() / "bench.sqlite"
        with self._guard():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.file = sqlite3.connect(
                self.path,
                timeout=60,
                isolation_level=None,  # each line is there at once
                check_same_thread=False,  # one after the other
            )
            self.file.execute(
                "CREATE TABLE IF NOT EXISTS measured (key TEXT PRIMARY KEY, figures TEXT, day REAL)"
            )
            self.file.execute("DELETE FROM measured WHERE day < julianday() - ?", (KEPT_DAYS,))

    @contextmanager
    def _guard(self) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            reason = (isinstance(error, OSError) and error.strerror) or error
            raise RestoreError(
                f"Cannot keep what is measured in {self.path}: {reason}. Make room or remove the"
                " file, or set"
                " RESTORE_CACHE to a folder that can be written."
            ) from error

    def find(self, key: str) -> dict[str, float] | None:
        """The figures of an image."""
        with self._guard():
            found = self.file.execute(
                "SELECT figures FROM measured WHERE key = ?", (key,)
            ).fetchone()
        return json.loads(found[0]) if found else None

    def add(self, key: str, figures: Mapping[str, float]) -> None:
        """Keep the figures of an image."""
        with self._guard():
            self.file.execute(
                "INSERT OR REPLACE INTO measured VALUES (?, ?, julianday())",
                (key, json.dumps(figures)),
            )

    def forget(self, keys: Iterable[str]) -> None:
        """Forget what is kept under keys."""
        with self._guard():
            self.file.executemany("DELETE FROM measured WHERE key = ?", ((key,) for key in keys))

    def close(self) -> None:
        """Close the file."""
        self.file.close()
