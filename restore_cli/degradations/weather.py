"""The parts of rain and haze: streaks, the depth of a scene, and light scattered by the air."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from restore_cli.degradations import Random
from restore_cli.image import Pixels

if TYPE_CHECKING:
    Plane = NDArray[np.float32]


@dataclass(frozen=True)
class Layer:
    """Streaks at about one distance from the camera.

    Attributes:
        angle: from the vertical, in degrees.
        length, thickness: of a streak, in pixels.
        coverage: the area of all streaks divided by that of the image; streaks may overlap.
        strength: brightness of the brightest streak, 0 to 1; the faintest has a third of it.
        taper: share of a streak's length over which it fades at its ends; 0 ends it abruptly.
        patches: unevenness of the rain, 0 to 1.
    """

    angle: float
    length: float
    thickness: float
    coverage: float
    strength: float
    taper: float = 0.0
    patches: float = 0.0


def streaks(height: int, width: int, layer: Layer, rng: Random) -> Plane:
    """Draw one layer of rain, H x W, 0 where there is none; overlapping streaks add up.

    Random points are smeared along the direction of fall, in a field that is then rotated and
    scaled. This is the usual motion blur of noise.
    """
    blur = max(1, round(layer.thickness))
    pitch = layer.thickness / blur
    length = max(1, round(layer.length / pitch))
    rows, columns = _field_size(height, width, layer.angle, pitch)
    rows += length
    field = np.zeros((rows, columns), np.float32)
    drops = int(rng.poisson(layer.coverage * rows * columns / (length * blur)))
    places = (rng.uniform(0, rows * columns, drops)).astype(np.intp)
    field.ravel()[places] = rng.uniform(layer.strength / 3, layer.strength, drops)
    rain = _fall(field, length, blur, layer.taper, (height, width), layer.angle, pitch)
    if layer.patches:
        rain *= 1 - np.float32(layer.patches) * smooth_field(height, width, rng)
    return rain


def noise_streaks(
    height: int,
    width: int,
    amount: float,
    angle: float,
    length: float,
    thickness: float,
    rng: Random,
    veil: float = 0.0,
) -> Plane:
    """Draw rain as photo editors do: Gaussian noise on black, motion blur, stretched levels.

    Args:
        height, width: in pixels.
        amount: standard deviation of the noise, 0 to 1; values below black are clipped.
        angle: from the vertical, in degrees.
        length, thickness: of the blur, in pixels.
        rng: draws the noise.
        veil: 0 to 1; at 1 levels are not stretched, and the mean of the blurred noise dominates.

    Returns:
        H x W, 0 where there is no rain.
    """
    pitch = max(1.0, thickness)
    length = max(1, round(length / pitch))
    rows, columns = _field_size(height, width, angle, pitch)
    field = rng.standard_normal((rows + length, columns)).astype(np.float32)
    np.maximum(field, 0, out=field)
    rain = _fall(field, length, 1, 0.0, (height, width), angle, pitch) / length
    # A normal variable clipped at 0 has mean 0.40 and deviation 0.58. The black level is half a
    # deviation below the mean, and the contrast is stretched to that of a short blur.
    deviation = 0.58 / math.sqrt(length)
    contrast = amount * length ** ((1 - veil) / 4)
    return np.maximum((rain - (1 - veil) * (0.40 - deviation / 2)) * np.float32(contrast), 0)


def _field_size(height: int, width: int, angle: float, pitch: float) -> tuple[int, int]:
    """Return rows and columns of a rotated field that covers the image, with some spare cells."""
    cos, sin = abs(math.cos(math.radians(angle))), abs(math.sin(math.radians(angle)))
    rows, columns = height * cos + width * sin, width * cos + height * sin
    return math.ceil(rows / pitch) + 3, math.ceil(columns / pitch) + 3


def _fall(
    field: Plane,
    length: int,
    blur: int,
    taper: float,
    size: tuple[int, int],
    angle: float,
    pitch: float,
) -> Plane:
    """Smear points along the columns, then rotate and scale the field to the image."""
    import cv2

    smear = cv2.boxFilter(
        field, -1, (blur, length), normalize=False, borderType=cv2.BORDER_CONSTANT
    )
    if (soft := round(taper * length)) > 1:
        smear = cv2.blur(smear, (1, soft))
    cos, sin = (f(math.radians(angle)) / pitch for f in (math.cos, math.sin))
    middle = [(field.shape[1] - 1) / 2, (field.shape[0] - 1) / 2]
    center = [(size[1] - 1) / 2, (size[0] - 1) / 2]
    turn = np.array([[cos, -sin], [sin, cos]])
    matrix = np.column_stack([turn, middle - turn @ center])
    return np.asarray(
        cv2.warpAffine(
            smear, matrix, (size[1], size[0]), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        )
    )


def smooth_field(height: int, width: int, rng: Random, cells: int = 3) -> Plane:
    """Draw a smooth random field, H x W in [0, 1], interpolated from `cells` x `cells` values."""
    import cv2

    coarse = rng.uniform(0, 1, (cells, cells)).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).clip(0, 1))


def draw_depth(height: int, width: int, rng: Random) -> Plane:
    """Draw the depth of a scene, H x W in [0, 1]: a slope, mostly rising upwards, and soft shapes.

    The nearest and the farthest point are also drawn, because a patch shows a part of a photo's
    range only.
    """
    lean = math.radians(float(rng.normal(0, 25)))
    up, across = (np.linspace(-0.5, 0.5, size, dtype=np.float32) for size in (height, width))
    slope = math.sin(lean) * across - math.cos(lean) * up[:, None]
    cells = int(rng.uniform(3, 7))
    shape = slope + np.float32(rng.uniform(0, 1.5)) * smooth_field(height, width, rng, cells)
    shape -= shape.min()
    shape /= max(float(shape.max()), 1e-6)
    near, far = np.sort(rng.uniform(0, 1, 2))
    return np.asarray(near + np.float32(far - near) * shape, np.float32)


def scatter(image: Pixels, transmission: Plane, light: float | NDArray[np.float32]) -> Pixels:
    """Add scattering by the air: I = J t + A (1 - t), Koschmieder's law.

    Args:
        image: J, H x W x C in [0, 1].
        transmission: t, H x W in [0, 1], the share of the light that arrives.
        light: A, the color of the air in [0, 1], one value or one per channel.
    """
    t = transmission[..., None]
    return np.asarray(image * t + np.float32(light) * (1 - t))
