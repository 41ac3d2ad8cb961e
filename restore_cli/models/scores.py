"""Scores of models: the measured value, its dataset and its protocol."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from restore_cli.errors import WeightsError
from restore_cli.levels import Levels, describe_level, parse_levels, to_plain_levels
from restore_cli.tables import brief, fill_in

_KEYS = ("set", "protocol", "psnr", "ssim")  # of a score's table; all other keys are levels


@dataclass(frozen=True)
class Protocol:
    """How scores were measured.

    Attributes:
        text: a description, as it is printed.
        luma: whether the luma of each image, rounded to 8 bits, is scored instead of its colors.
        full_range: whether that luma uses the full range 0 to 255, as MATLAB's rgb2gray does.
        published: whether the scores are the authors', not measured here.
    """

    text: str
    luma: bool = False
    full_range: bool = False
    published: bool = False


@dataclass(frozen=True)
class Score:
    """A model's PSNR in dB, and its SSIM if known, on a dataset at given degradation levels.

    Attributes:
        set: the dataset's name, "live1".
        levels: the degradation levels; empty for real pairs.
    """

    set: str
    protocol: Protocol
    psnr: float
    ssim: float | None = None
    levels: Levels = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The dataset's name, with the channel that is scored: "live1 luma"."""
        if not self.protocol.luma:
            return self.set
        return f"{self.set} {'gray' if self.protocol.full_range else 'luma'}"

    def to_plain(self) -> dict[str, Any]:
        """The score as a table, for JSON and for a checkpoint's header."""
        return {
            "set": self.title,
            **to_plain_levels(self.levels),
            "psnr": self.psnr,
            **({} if self.ssim is None else {"ssim": self.ssim}),
            "protocol": self.protocol.text,
        }


@dataclass(frozen=True)
class Series:
    """Scores on one dataset by one protocol, at levels of one degradation; at least one."""

    scores: tuple[Score, ...]

    @property
    def title(self) -> str:
        """The dataset's name, "live1 luma"."""
        return self.scores[0].title

    @property
    def protocol(self) -> Protocol:
        """How the scores were measured."""
        return self.scores[0].protocol

    @property
    def levels(self) -> str:
        """The levels, "sigma 15 25 50" or "damage text share 0.1"; empty for real pairs."""
        words = []
        for key in self.scores[0].levels:
            found = [describe_level(score.levels[key]) for score in self.scores]
            words += [key, *(found if len({*found}) > 1 else found[:1])]
        return " ".join(filter(None, words))

    @property
    def middle(self) -> Series:
        """The series with only its middle level."""
        return Series((self.scores[len(self.scores) // 2],))

    def __str__(self) -> str:
        """The series with its PSNR in dB: "CBSD68 sigma 15 25: 34.30 31.69 (published)"."""
        values = " ".join(f"{score.psnr:.2f}" for score in self.scores)
        source = " (published)" if self.protocol.published else ""
        return f"{f'{self.title} {self.levels}'.rstrip()}: {values}{source}"


def group_scores(scores: Iterable[Score]) -> tuple[Series, ...]:
    """Group scores into series; a level that is text, such as "text", starts its own series."""
    groups: dict[Any, list[Score]] = {}
    for score in scores:
        kind = frozenset(
            (key, level if isinstance(level, str) else "") for key, level in score.levels.items()
        )
        groups.setdefault((score.set, score.protocol, kind), []).append(score)
    return tuple(Series(tuple(group)) for group in groups.values())


def parse_score(plain: Any) -> Score:
    """Parse a table as a score.

    Args:
        plain: set, protocol (a `Protocol` or its text), psnr and optionally ssim; all other keys
            are degradation levels.

    Raises:
        WeightsError: a key is missing, or its value has the wrong type.
    """
    match plain:
        case {
            "set": str(name),
            "psnr": (int() | float()) as psnr,
            "protocol": (str() | Protocol()) as protocol,
        }:
            ssim = plain.get("ssim")
            if isinstance(protocol, str):
                protocol = Protocol(protocol, published=protocol == "published")
            if ssim is None or isinstance(ssim, (int, float)):
                with suppress(ValueError, OverflowError):
                    levels = {key: level for key, level in plain.items() if key not in _KEYS}
                    return Score(name, protocol, psnr, ssim, parse_levels(levels))
    raise WeightsError(f"A checkpoint's score cannot be {brief(repr(plain))}.")


def parse_rows(rows: Any, protocols: Mapping[str, Protocol], where: str) -> tuple[Score, ...]:
    """Parse the scores of an entry of weights.toml.

    Args:
        rows: tables as `parse_score` takes them, with two differences: the protocol is an id or a
            table with the fields of `Protocol`; and if psnr is a list, any other list has one value
            for each of its values.
        protocols: the protocols by id.
        where: the entry's name, for errors.

    Raises:
        WeightsError: a row is not such a table, or its protocol is unknown.
    """
    if not isinstance(rows, Sequence) or isinstance(rows, str):
        raise WeightsError(f"{where}: scores cannot be {brief(repr(rows))}.")
    return tuple(
        parse_score({**plain, "protocol": _find_protocol(plain["protocol"], protocols, where)})
        for row in rows
        for plain in _split(row, where)
    )


def _split(row: Any, where: str) -> Iterator[Mapping[str, Any]]:
    """Yield a table for each score of a row."""
    if not isinstance(row, Mapping) or "protocol" not in row:
        raise WeightsError(f"{where}: a score cannot be {brief(repr(row))}.")
    if not isinstance(row.get("psnr"), list):
        yield row
        return
    count = len(row["psnr"])
    if any(isinstance(value, list) and len(value) != count for value in row.values()):
        raise WeightsError(f"{where}: lists of different lengths in {brief(repr(row))}.")
    for number in range(count):
        yield {
            key: value[number] if isinstance(value, list) else value for key, value in row.items()
        }


def _find_protocol(plain: Any, protocols: Mapping[str, Protocol], where: str) -> Protocol:
    if isinstance(plain, Mapping):
        return fill_in(Protocol, plain, f"{where}: a protocol", WeightsError)
    if not isinstance(plain, str) or plain not in protocols:
        raise WeightsError(
            f"{where}: unknown protocol {brief(repr(plain))}; expected one of"
            f" {', '.join(protocols)}."
        )
    return protocols[plain]
