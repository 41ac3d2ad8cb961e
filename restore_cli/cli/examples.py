"""The examples at the end of each command's help."""

from __future__ import annotations

_EXAMPLES = {  # by command; those of a task are in `restore`
    "restore": (
        "restore denoise photo.jpg",
        "restore sr photo.jpg --scale 2",
        "restore help denoise",
        "restore help examples",
    ),
    "auto": (
        "restore auto photo.jpg",
        "restore auto photos/ -r -o restored/ --explain",
        "restore auto photos/ --only denoise,deblock --dry-run",
    ),
    "serve": (
        "restore serve",
        "restore serve --port 9000 --max-upload 50 --keep 5",
        "restore serve --host 0.0.0.0 --token secret",
    ),
    "run": (
        'restore run photo.jpg "deblock | denoise --strength 80% | sr --scale 2"',
        'restore run photos/ -r -o restored/ "denoise | deblur"',
        "restore run *.jpg --preset old-scan",
    ),
    "config": ("restore config",),
    "info": (
        "restore info photo.jpg",
        "restore info --json restored/*.jpg",
    ),
    "rerun": (
        "restore rerun photo.denoised.jpg --from photo.jpg",
        "restore rerun photo.denoised.jpg --from photo.jpg -o again.jpg",
    ),
    "models": (
        "restore models list --task denoise",
        "restore models show drunet-color",
        "restore models fetch drunet",
    ),
    "models list": (
        "restore models list --task denoise",
        "restore models list --installed --json",
    ),
    "models show": (
        "restore models show denoise-photo",
        "restore models show mine.safetensors --json",
    ),
    "models fetch": (
        "restore models fetch drunet",
        "restore models fetch --task sr",
    ),
    "models add": ("restore models add drunet-color ~/Downloads/drunet_color.pth",),
    "models remove": ("restore models remove drunet-color",),
    "models path": ("restore models path denoise-photo",),
    "models verify": (
        "restore models verify --all",
        "restore models verify denoise-color --data SETS",
    ),
    "models export": (
        "restore models export denoise-color denoise.onnx",
        "restore models export mine.safetensors small.safetensors",
    ),
    "compare": (
        "restore compare photo.jpg retouched.jpg -o page.html",
        "restore compare photos/ denoised/ -o page.html",
        "restore compare photo.jpg --models default,best,realesrgan --level scale=4 -o page.html",
        "restore compare photo.jpg --models default,mine.safetensors --task denoise -o page.html",
    ),
    "bench": (
        "restore bench sets",
        "restore bench denoise set12 --data SETS --sigma 25 --model default,drunet",
        "restore bench suite papers --data SETS --report papers.html",
    ),
    "bench denoise": ("restore bench denoise set12 --data SETS --sigma 15,25,50 --peer nlm,bm3d",),
    "bench deblock": ("restore bench deblock live1 --data SETS --quality 10,20,40 --published",),
    "bench derain": ("restore bench derain rain100h_10 --data SETS --published",),
    "bench inpaint": (
        "restore bench inpaint photos/ --level damage=text --peer telea --report text.html",
    ),
    "bench sr": ("restore bench sr set5 set14 --data SETS --scale 2,3,4 --peer bicubic",),
    "bench dehaze": ("restore bench dehaze live1 --data SETS --degrade beta=0.6,1.2,1.8",),
    "bench deblur": (
        "restore bench deblur set14 --data SETS --degrade kernel=disk --degrade size=3,7",
    ),
    "bench suite": (
        "restore bench suite papers --data SETS --report papers.html",
        "restore bench suite papers --task sr --data SETS",
        "restore bench suite bundled --data SETS --precision fp32 --report bundled.json",
    ),
    "bench sets": (
        "restore bench sets",
        "restore bench sets --data SETS --json",
    ),
    "train": (
        "restore train --list",
        "restore train --task denoise --data photos/ --minutes 60 --out my.safetensors",
        "restore train sr-color-x2 --data photos/ --dry-run",
        "restore train recipe.toml --data photos/ --out my.safetensors --resume",
        "restore train --jobs 2 a.toml b.toml c.toml --data photos/",
    ),
    "study": (
        "restore study --list",
        "restore study xunit-filter --data photos/ --minutes-each 8 --seeds 2",
        "restore study rednet-depth --data photos/ --set batch=4 --out results/",
    ),
    "help": (
        "restore help bench sr",
        "restore help formats",
    ),
    "doctor": (
        "restore doctor",
        "restore doctor --json",
    ),
}


def examples(command: str) -> str:
    """The examples of a command, as the epilog of its help."""
    return format_examples(*_EXAMPLES[command])


def format_examples(*lines: str) -> str:
    """An epilog with command lines, which Rich shows without indentation."""
    return "\n".join(["Examples:", *lines])
