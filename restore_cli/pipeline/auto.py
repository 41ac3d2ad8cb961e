"""Chooses the steps for each photo by what is found in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, ClassVar

from restore_cli.errors import UsageError
from restore_cli.pipeline.plan import Choice, Step
from restore_cli.tasks.deblock import Deblock
from restore_cli.tasks.deblur import Deblur
from restore_cli.tasks.dehaze import Dehaze
from restore_cli.tasks.denoise import Denoise
from restore_cli.tasks.derain import Derain

if TYPE_CHECKING:  # for help texts it is imported without numpy, which is slow
    from restore_cli.findings import Compression, Findings
    from restore_cli.image import Picture

# Limits from which a photo is restored, see `Findings`; docs/auto.md states how they were found.
NOISY = 2.8  # for a photo that was never compressed,
ARTIFACTS = 0.05  # plus this for each step of JPEG quality below 100, as artifacts look like noise
GOOD = 92  # highest quality of a JPEG that is deblocked
RAINY = 2.0
STREAKS = 0.5  # and at least this share of the noise level, as noise looks like streaks
WHITE_STREAKS = 1.0  # the same for white noise, which streaks seldom are; text hides them less
HAZY = 35.0
SOFT = 1.2
SOFT_JPEG = 1.3  # for a photo that is deblocked, because JPEG takes fine detail, too
SMALL = 640  # pixels on the long side below which a photo is called small

# The order is opposite to that in which damage comes about: in the air, the lens, the sensor and
# the file. Only noise is removed before JPEG artifacts, which gives better results.
_STEPS = (
    Step(Denoise(), "photo"),
    Step(Denoise(), "gaussian"),
    Step(Deblock()),
    Step(Deblur()),
    Step(Derain()),
    Step(Dehaze()),
)
CHOICES = tuple(dict.fromkeys(step.task.name for step in _STEPS))


def parse_only(text: str) -> tuple[str, ...]:
    """Parse names of tasks, joined by commas; raises UsageError."""
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in CHOICES:
            raise UsageError(f"{name!r} is not a valid task; expected {', '.join(CHOICES)}.")
    return tuple(name for name in CHOICES if name in names)


@dataclass(frozen=True)
class Auto:
    """Looks at each photo, and removes the damage that it finds.

    Attributes:
        only: names of the tasks that may be used, some of CHOICES.
        explain: whether to list the figures, and the limits from which a photo is restored.
    """

    lists_steps: ClassVar[bool] = True
    looks: ClassVar[bool] = True
    name: ClassVar[str] = "auto"
    suffix: ClassVar[str] = "restored"

    only: tuple[str, ...] = CHOICES
    explain: bool = False

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps that may be chosen, in their order."""
        return tuple(step for step in _STEPS if step.task.name in self.only)

    def choose(self, picture: Picture, /) -> Choice:
        """Look at a photo, and choose its steps."""
        from restore_cli.findings import examine

        findings = examine(picture)
        steps = tuple(step for step in choose_steps(findings) if step.task.name in self.only)
        done = ", ".join(step.label for step in steps) or "nothing to do"
        small = "" if findings.searched else " (too small to find blur, rain and haze)"
        lines = [f"found: {', '.join(_list_damage(findings)) or 'clean'}{small} -> {done}"]
        if self.explain:
            lines += _explain(findings)
        return Choice(steps, tuple(lines), asdict(findings))


def choose_steps(findings: Findings) -> tuple[Step, ...]:
    """The steps for a photo, in their order; none if it is clean."""
    steps = []
    if _is_noisy(findings):
        steps.append(Step(Denoise(), "gaussian" if findings.noise.white else "photo"))
    if jpeg := _worst_jpeg(findings):
        steps.append(Step(Deblock(jpeg.quality, jpeg.corner)))
    if _is_blurred(findings):
        steps.append(Step(Deblur()))
    if _is_rainy(findings):
        steps.append(Step(Derain()))
    if _is_hazy(findings):
        steps.append(Step(Dehaze()))
    return tuple(steps)


def _is_rainy(findings: Findings) -> bool:
    return findings.rain >= _rain_limit(findings)


def _rain_limit(findings: Findings) -> float:
    share = WHITE_STREAKS if findings.noise.white else STREAKS
    return max(RAINY, share * findings.noise.level)


def _is_noisy(findings: Findings) -> bool:
    """Whether there is noise; the streaks of rain look like it."""
    return findings.noise.least >= _noise_limit(findings) and not _is_rainy(findings)


def _noise_limit(findings: Findings) -> float:
    worst = min((jpeg.quality for jpeg in findings.compressions), default=100)
    return NOISY + ARTIFACTS * (100 - worst)


def _worst_jpeg(findings: Findings) -> Compression | None:
    """The compression with the lowest quality, if it left visible artifacts."""
    worst = min(findings.compressions, key=lambda jpeg: jpeg.quality, default=None)
    return worst if worst and worst.quality <= GOOD else None


def _is_blurred(findings: Findings) -> bool:
    """Whether sharpening helps; in noise and rain it cannot be seen."""
    obscured = _is_noisy(findings) or _is_rainy(findings)
    return findings.blur >= _blur_limit(findings) and not obscured


def _blur_limit(findings: Findings) -> float:
    return SOFT_JPEG if _worst_jpeg(findings) else SOFT


def _is_hazy(findings: Findings) -> bool:
    """Whether there is haze; rain looks like it."""
    return findings.haze >= HAZY and not _is_rainy(findings)


def _list_damage(findings: Findings) -> Iterator[str]:
    """Name the damage of a photo: "noise 9", "JPEG 72 (blocks at 3,5)".

    What is as strong as noise, but not everywhere, may be texture.
    """
    noisy, level = _is_noisy(findings), findings.noise.level
    if noisy or (level >= _noise_limit(findings) and not _is_rainy(findings)):
        yield f"noise {level:.0f}" + " or texture" * (not noisy)
    if worst := _worst_jpeg(findings):
        blocks = " (blocks at {},{})".format(*worst.corner) if any(worst.corner) else ""
        last = findings.compressions[0]
        again = f", saved again as JPEG {last.quality}" if last != worst else ""
        yield f"JPEG {worst.quality}{blocks}{again}"
    if _is_blurred(findings):
        yield "blur"
    if _is_rainy(findings):
        yield "rain"
    if _is_hazy(findings):
        yield "haze"


def _explain(findings: Findings) -> Iterator[str]:
    """State each figure, and from which limit the photo is restored."""
    noise, width, height = findings.noise, findings.width, findings.height
    kind = "white" if noise.white else "not white"
    streaks = ", but rain looks like it" * _is_rainy(findings)
    yield (
        f"  noise {noise.level:.1f}, {kind}; by the noise network at least {noise.least:.1f} in"
        f" four fifths of the photo, denoise from {_noise_limit(findings):.1f}{streaks}"
    )
    for jpeg in findings.compressions:
        yield "  JPEG {}, blocks at {},{}; deblock up to {}".format(
            jpeg.quality, *jpeg.corner, GOOD
        )
    if not findings.compressions:
        yield "  JPEG: no traces"
    small = "; small, `restore sr` enlarges it" if max(width, height) < SMALL else ""
    size = f"  size {width} x {height}{small}"
    if not findings.searched:
        yield "  blur, rain, haze: not measured, because a side is too short"
        yield size
        return
    hider = "noise" if _is_noisy(findings) else "rain" if _is_rainy(findings) else ""
    hidden = f", but {hider} hides it" if hider else ""
    yield f"  blur {findings.blur:.2f}; deblur from {_blur_limit(findings)}{hidden}"
    yield f"  rain {findings.rain:.1f}; derain from {_rain_limit(findings):.1f}"
    yield f"  haze {findings.haze:.0f}; dehaze from {HAZY:.0f}{streaks}"
    yield size
