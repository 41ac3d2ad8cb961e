"""Run a few dozen commands with two versions of the source tree, and compare all that they write.

    python scripts/compare_trees.py OLD NEW             # folders of two checkouts
    python scripts/compare_trees.py OLD NEW --only sr

Photos, masks, checkpoints and JSON must be identical, bit by bit, apart from times, speeds, paths
and sentences. Use it before and after a change that should not alter any output. Each command runs
on one thread, because the number of threads may change the last bit of a result.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image
from safetensors import safe_open

COMMANDS = {
    "auto": "denoise noisy.png clean.png camera.jpg -o out/ --json",
    "sigma": "denoise noisy.png noisy16.png noisy16.tif noisy.bmp noisy.ppm noisy.webp gray.png"
    " gray.pgm alpha.png turned.jpg --sigma 25 -o out/ --json",
    "photo": "denoise noisy.png gray.png --model photo -o out/ --json",
    "red30": "denoise gray.png noisy.png --sigma 25 --model red30 -o out/ --json",
    "reference": "denoise noisy.png --sigma 25 --reference clean.png -o out/ --json",
    "mask": "denoise noisy.png --sigma 25 --mask mask.png --strength 0.7 -o out/ --json",
    "save-mask": "denoise noisy.png --sigma 25 --mask soft.png --save-mask out/m.png -o out/o.png"
    " --json",
    "strength": "denoise noisy.png --sigma 25 --strength 0.3 -o out/o.tif --json",
    "tiles": "denoise noisy.png --sigma 25 --tile 128 --check-tiles -o out/ --json",
    "bf16": "denoise noisy.png --sigma 25 --precision bf16 -o out/ --json",
    "ensemble": "denoise noisy.png --sigma 25 --ensemble -o out/ --json",
    "folder": "denoise folder --recursive --sigma 25 -o out/ --json",
    "list": "denoise --files-from list.txt --sigma 25 --suffix .q --format jpg -o out/ --json",
    "pipe": "denoise - --sigma 25 -o -",
    "deblock": "deblock q10.jpg q30.jpg q75.jpg gray.jpg -o out/ --json",
    "quality": "deblock q10.jpg noisy.png --quality 20 --format png -o out/ --json",
    "derain": "derain noisy.png gray.png -o out/ --json",
    "box": "inpaint clean.png gray.png --box 30,40,80,60 --box 0,0,10,10 --grow 2 -o out/ --json",
    "inpaint": "inpaint clean.png --mask mask.png --save-mask out/m.png -o out/o.png --json",
    "text": "inpaint text.png --detect text --save-mask out/m.png -o out/o.png --json",
    "scratches": "inpaint text.png clean.png --detect scratches -o out/ --json",
    "finder": "inpaint text.png --detect text --model finder -o out/ --json",
    "sr2": "sr small.png small-gray.png -o out/ --json",
    "sr3": "sr small.png --scale 3 -o out/ --json",
    "sr4": "sr small.png --scale 4 --reference clean.png -o out/ --json",
    "sr6": "sr small.png --scale 6 -o out/ --json",
    "size": "sr alpha.png --size 300x200 -o out/ --json",
    "bench-denoise": "bench denoise set --sigma 25,50 --peer nlm --json",
    "bench-luma": "bench deblock set --quality 10 --gray --clip --json",
    "bench-inpaint": "bench inpaint set --level damage=text --level size=10 --json",
    "bench-sr": "bench sr set --scale 2,3 --json",
    "bench-camera": "bench denoise set --level noise=camera,random --level sigma=10 --json",
    "bench-derain": "bench derain set --json",
    **{
        f"train-{task}": f"train --task {task} {network} --data set --steps 4 --batch 2 --patch 32"
        " --out out/t.safetensors"
        for task, network in {
            "denoise": "--arch unet:UNet --param widths=[8,16]",
            "deblock": "--arch rednet:REDNet --param depth=10 --param width=8",
            "inpaint": "--arch unet:UNet --param widths=[8,16]",
            "derain": "--arch unet:UNet --param widths=[8,16]",
            "dehaze": "--arch aodnet:AODNet",
            "deblur": "--arch unet:UNet --param widths=[8,16]",
            "sr": "--arch compact:Compact --param scale=2 --param width=8 --param depth=2",
            "noise": "--arch unet:UNet --param widths=[8,16] --param residual=false",
        }.items()
    },
}
# JSON keys whose values are times, speeds, places or sentences.
VOLATILE = re.compile(
    r".*second.*|mega.*_per_s|.*MP/s|peak MB|path|warnings|note|metrics|protocol|level|about"
    r"|version.*|command|machine|date"
)


def make_inputs(photo: Path) -> None:
    """Fill the current folder with photos, masks and a set, all derived from one photo."""
    rng = np.random.default_rng(0)
    clean = np.asarray(Image.open(photo).convert("RGB"))[:200, :260]
    noisy = (clean + rng.normal(0, 25, clean.shape)).clip(0, 255).astype(np.uint8)
    small = cv2.resize(clean, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    text = cv2.putText(clean.copy(), "HELLO", (20, 100), 0, 1.3, (255, 255, 0), 3)
    mask = np.zeros(clean.shape[:2], np.uint8)
    mask[60:120, 80:180] = 255
    alpha = np.dstack([noisy, np.full(mask.shape, 255, np.uint8)])
    alpha[:40, :40, 3] = 0
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    pictures = {"clean.png": clean, "noisy.png": noisy, "noisy.bmp": noisy, "noisy.ppm": noisy}
    pictures |= {"alpha.png": alpha, "text.png": text, "small.png": small, "mask.png": mask}
    pictures |= {"soft.png": cv2.GaussianBlur(mask, (31, 31), 0)}
    for name, pixels in pictures.items():
        Image.fromarray(pixels).save(name)
    for name, pixels in {"gray.png": noisy, "gray.pgm": noisy, "small-gray.png": small}.items():
        Image.fromarray(pixels).convert("L").save(name)
    Image.fromarray(clean).convert("L").save("gray.jpg", quality=20)
    Image.fromarray(noisy).save("noisy.webp", lossless=True)
    Image.fromarray(noisy).save("turned.jpg", quality=92, exif=exif)
    Image.fromarray(noisy[::2, ::2]).save("camera.jpg", quality=93)
    for quality in (10, 30, 75):
        Image.fromarray(clean).save(f"q{quality}.jpg", quality=quality)
    for name in ("noisy16.png", "noisy16.tif"):
        cv2.imwrite(name, noisy[..., ::-1].astype(np.uint16) * 257)
    Path("folder/sub").mkdir(parents=True)
    shutil.copy("noisy.png", "folder/x.png")
    shutil.copy("gray.png", "folder/sub/y.png")
    Path("list.txt").write_text("noisy.png\ngray.png\n", encoding="utf-8")
    Path("set").mkdir()
    for number in range(5):
        Image.fromarray(clean[20 * number :][:96, 30 * number :][:, :96]).save(f"set/{number}.png")


def digest(path: Path) -> object:
    """What identifies the contents of a file: of a checkpoint those of each tensor."""
    if path.suffix == ".safetensors":
        with safe_open(path, "np") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        return {key: hashlib.sha256(value.tobytes()).hexdigest() for key, value in tensors.items()}
    return hashlib.sha256(path.read_bytes()).hexdigest()


def scrub(value: Any) -> Any:
    """JSON without what may differ from run to run."""
    if isinstance(value, dict):
        return {key: scrub(item) for key, item in value.items() if not VOLATILE.fullmatch(key)}
    return [scrub(item) for item in value] if isinstance(value, list) else value


def run(tree: Path, line: str) -> dict[str, object]:
    """The exit code, output and files of a command."""
    shutil.rmtree("out", ignore_errors=True)
    Path("out").mkdir()
    words = line.split()
    env = os.environ | {"PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
    with open("noisy.png", "rb") as stdin:
        command = [sys.executable, "-m", "restore_cli", *words]
        done = subprocess.run(command, env=env, stdin=stdin, capture_output=True, check=False)
    said: object = hashlib.sha256(done.stdout).hexdigest() if words[-1] == "-" else None
    if "--json" in words and done.returncode == 0:
        text = done.stdout.decode()
        bench = words[0] == "bench"
        said = scrub(json.loads(text) if bench else list(map(json.loads, text.splitlines())))
    files = sorted(path for path in Path("out").rglob("*") if path.is_file())
    kept = {str(path): digest(path) for path in files if path.suffix not in (".json", ".csv")}
    return {"exit code": done.returncode, "output": said, "files": kept}


def main() -> None:
    """Print each command whose results differ; exit with 1 if there is any."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("trees", type=Path, nargs=2, metavar="TREE")
    parser.add_argument("--only", default="", help="run only commands whose names contain this")
    options = parser.parse_args()
    trees = [tree.resolve() for tree in options.trees]
    differing = 0
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        make_inputs(trees[1] / "examples" / "cat.png")
        for name, line in COMMANDS.items():
            if options.only in name:
                old, new = (run(tree, line) for tree in trees)
                differing += old != new
                print(f"{name}: {'same' if old == new else f'{old} became {new}'}", flush=True)
        os.chdir("/")
    sys.exit(differing > 0)


if __name__ == "__main__":
    main()
