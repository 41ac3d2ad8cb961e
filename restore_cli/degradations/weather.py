"""Rain and haze as a camera sees them: streaks, the depth of a scene, and the air that scatters
light.
"""

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
    """Streaks that fall together, at about one distance from the camera.

    Attributes:
        angle: from the vertical, in degrees.
        length, thickness: of a streak, in pixels.
        coverage: the area of all streaks over that of the image; they may overlap.
        strength: brightness of the brightest streak in [0, 1]; the faintest has a third of it.
        taper: how softly streaks begin and end, as a share of their length; 0 ends them squarely.
        patches: how unevenly the rain falls, 0 to 1.
    """

    angle: float
    length: float
    thickness: float
    coverage: float
    strength: float
    taper: float = 0.0
    patches: float = 0.0


def streaks(height: int, width: int, layer: Layer, rng: Random) -> Plane:
    """Draw one layer of rain, H x W, 0 where none falls; overlapping streaks add up.

    Drops at random places are smeared along their fall, in a field that is then turned and scaled:
    the motion blur of noise that the field makes its rain with.
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
    """Rain by the photo editor's recipe, H x W: Gaussian noise on black, motion blur, stretched
    levels.

    Args:
        height, width: in pixels.
        amount: standard deviation of the noise, in [0, 1]; what falls below black is cut off.
        angle: from the vertical, in degrees.
        length, thickness: of the blur, in pixels.
        rng: draws the noise.
        veil: 0 to 1; at 1 levels are not stretched, and most of the blurred noise is its mean.
    """
    pitch = max(1.0, thickness)
    length = max(1, round(length / pitch))
    rows, columns = _field_size(height, width, angle, pitch)
    field = rng.standard_normal((rows + length, columns)).astype(np.float32)
    np.maximum(field, 0, out=field)
    rain = _fall(field, length, 1, 0.0, (height, width), angle, pitch) / length
    # Half of a normal variable has mean 0.40 and deviation 0.58; of what is brighter than the mean
    # less half a deviation, the levels keep the contrast of a short blur.
    deviation = 0.58 / math.sqrt(length)
    contrast = amount * length ** ((1 - veil) / 4)
    return np.maximum((rain - (1 - veil) * (0.40 - deviation / 2)) * np.float32(contrast), 0)


def _field_size(height: int, width: int, angle: float, pitch: float) -> tuple[int, int]:
    """Rows and columns of a turned field that covers the image, with a cell to spare."""
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
    """Smear drops along the columns, and turn and scale the field to the image."""
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
    """A random field without edges, H x W in [0, 1]: so many cells a side, cubically
    interpolated.
    """
    import cv2

    coarse = rng.uniform(0, 1, (cells, cells)).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).clip(0, 1))


def draw_depth(height: int, width: int, rng: Random) -> Plane:
    """The distance of a made-up scene, H x W in [0, 1]: a slope that mostly rises upwards, and soft
    shapes.

    A patch sees a part of a photo's range: its nearest and its farthest point are drawn too.
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
    """Look at an image through air: I = J t + A (1 - t), Koschmieder's law.

    Args:
        image: J, H x W x C in [0, 1].
        transmission: t, H x W in [0, 1], the share of light that arrives.
        light: A, the color of the air in [0, 1], one value or one for each channel.
    """
    t = transmission[..., None]
    return np.asarray(image * t + np.float32(light) * (1 - t))
