"""Measures whether the presets of `restore run` help damaged photos and leave others as they are.

    python benchmarks/presets.py DATA/cbsd68 --every 8

Each preset restores crops of 192 pixels with damage that it is for, and with less or none. The
table has the mean PSNR before and after, and the smallest gain of a crop (in dB; equal images count
as 60). Screenshots are drawn: lines of text under a colored bar. Halved photos are compared at full
size, before with a bicubic enlargement.
"""

from __future__ import annotations

import argparse
import io
import string
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw

from restore_cli.cli.presets import find_preset
from restore_cli.engine import Settings
from restore_cli.image import (
    Picture,
    Pixels,
    is_image_name,
    read_picture,
    resize,
    round_to_bytes,
    to_rgb,
)
from restore_cli.metrics import psnr
from restore_cli.pipeline.networks import Models
from restore_cli.pipeline.steps import Progress, Walker

SIDE = 192
MOST = 60.0  # dB


@dataclass(frozen=True)
class Damage:
    """Blurs or halves an image, adds noise (on the 0..255 scale), and saves it as PNG or JPEG."""

    blur: float = 0
    noise: float = 0
    jpeg: int = 0
    half: bool = False

    def apply(self, image: Pixels, rng: np.random.Generator) -> Picture:
        """Damage an image; the result is what is read from its file."""
        if self.blur:
            image = np.asarray(cv2.GaussianBlur(image, (0, 0), self.blur), np.float32)
        if self.half:
            small = cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
            image = np.asarray(small, np.float32)
        noise = rng.normal(0, self.noise / 255, image.shape).astype(np.float32)
        image = round_to_bytes(image + noise)
        file = io.BytesIO()
        kind, quality = ("JPEG", self.jpeg) if self.jpeg else ("PNG", None)
        Image.fromarray(np.uint8(image * 255 + 0.5)).save(file, kind, quality=quality)
        return read_picture(file.getvalue())

    def __str__(self) -> str:
        words = [
            "halved" * self.half,
            f"blur {self.blur:g}" * bool(self.blur),
            f"noise {self.noise:g}" * bool(self.noise),
            f"JPEG {self.jpeg}" * bool(self.jpeg),
        ]
        return ", ".join(filter(None, words)) or "none"


CASES = {
    "old-scan": (Damage(blur=0.9, noise=8), Damage(noise=8), Damage()),
    "phone-night": (Damage(0.7, 12, 90), Damage(noise=12, jpeg=90), Damage(jpeg=95), Damage()),
    "web-jpeg": (Damage(jpeg=60, half=True), Damage(jpeg=85, half=True), Damage(half=True)),
    "screenshot": (Damage(jpeg=60), Damage(jpeg=85), Damage()),
    "archive": (Damage(noise=8, jpeg=80), Damage(jpeg=60), Damage(jpeg=92), Damage()),
}


def draw_screenshot(rng: np.random.Generator) -> Pixels:
    """Lines of text under a colored bar."""
    image = Image.new("RGB", (SIDE, SIDE), (250, 250, 252))
    pen = ImageDraw.Draw(image)
    red, green, blue = (int(level) for level in rng.integers(0, 200, 3))
    pen.rectangle((0, 0, SIDE, 24), fill=(red, green, blue))
    for top in range(30, SIDE, 14):
        line = "".join(rng.choice(list(string.ascii_lowercase + " "), 30))
        pen.text((6, top), line, fill=(20, 20, 30))
    return np.asarray(image, np.float32) / np.float32(255)


def crop(path: Path) -> Pixels:
    """The middle of a photo."""
    pixels = to_rgb(read_picture(path).pixels)
    top, left = (max(0, side - SIDE) // 2 for side in pixels.shape[:2])
    return pixels[top : top + SIDE, left : left + SIDE]


def measure(walker: Walker, name: str, damage: Damage, images: list[Pixels]) -> list[list[float]]:
    """PSNR of each image before and after a preset, in dB."""
    rng, scores = np.random.default_rng(3), []
    for clean in images:
        picture = damage.apply(clean, rng)
        before = picture.pixels.copy()  # a network may overwrite the picture
        end = walker.walk(find_preset(name).steps, [Progress(picture)])
        after = round_to_bytes(end.picture.pixels)
        larger = [
            one if one.shape == clean.shape else resize(one, *clean.shape[:2]).clip(0, 1)
            for one in (before, after)
        ]
        scores.append([min(MOST, psnr(one, clean)) for one in larger])
    return scores


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--every", type=int, default=8)
    options = parser.parse_args()
    paths = sorted(filter(is_image_name, options.folder.iterdir()))
    photos = [crop(path) for path in paths[:: options.every]]
    rng = np.random.default_rng(1)
    screenshots = [draw_screenshot(rng) for _ in photos]
    walker = Walker(Models(), Settings(precision="fp32"))
    print(f"{len(photos)} images\n\n| preset | damage | before | after | smallest gain |")
    print("|---|---|---:|---:|---:|")
    for name, cases in CASES.items():
        for damage in cases:
            images = screenshots if name == "screenshot" else photos
            scores = np.array(measure(walker, name, damage, images))
            before, after = scores.mean(axis=0)
            least = (scores[:, 1] - scores[:, 0]).min()
            figures = f"{before:.2f} | {after:.2f} | {least:+.2f}"
            print(f"| `{name}` | {damage} | {figures} |", flush=True)


if __name__ == "__main__":
    main()
