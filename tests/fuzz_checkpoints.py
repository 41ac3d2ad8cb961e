"""Damaged and hostile checkpoints, recipes and states of trainings, by seeds, and the answers they
may get.

Each case is a file, and the commands that are given it. Whatever is in it, a command ends within
`PATIENCE` seconds by an exit code of its own, and if that is not 0, by one sentence on standard
error.
"""

from __future__ import annotations

import io
import json
import math
import random
import shutil
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fuzzing import Case, Verdict, garble, invoke
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor
from typer.testing import CliRunner

from restore_cli import archs
from restore_cli.cli import app
from restore_cli.models.header import FORMAT, KEY

NETWORKS: dict[str, dict[str, Any]] = {
    "unet:UNet": {
        "channels": 1,
        "conditions": 1,
        "widths": [4, 6],
        "blocks": [1, 1],
        "unshuffle": 1,
    },
    "baselines:DnCNN": {"channels": 1, "depth": 3, "width": 4, "norm": True},
    "baselines:ConvChain": {"channels": 1, "widths": [4, 2], "kernels": [3, 1, 5]},
    "baselines:RonnebergerUNet": {"channels": 1, "width": 4, "levels": 2},
    "binarized:BTNet": {"channels": 1, "scale": 1, "width": 4, "quantizer": "bt"},
    "infoaccum:InfoAccumUNet": {"channels": 1, "levels": 2, "width": 4, "layers": 2, "places": [1]},
    "invertible:IRAE": {"channels": 1, "steps": 1, "levels": 1, "hidden": 4},
    "rednet:REDNet": {"channels": 1, "depth": 4, "width": 4, "strides": [1]},
    "xunit:XDnCNN": {"channels": 1, "depth": 3, "width": 4, "kernel": 3},
}
NUMBERS = [
    -1,
    0,
    1,
    2,
    3,
    4,
    5,
    16,
    255,
    257,
    4096,
    4097,
    10**6,
    10**9,
    10**30,
    0.5,
    -3.5,
    math.nan,
    math.inf,
]
DEEP = "@deep@"  # stands for brackets within brackets, which Python's own writers refuse
VALUES: list[Any] = [
    *NUMBERS,
    True,
    "",
    "x",
    "denoise",
    "\x1b]0;owned\x07[red]",
    "\ud800",
    "../../etc/passwd",
    "=1+1",
    "a" * 100_000,
    DEEP,
    [],
    [75, 0],
    [0, 1],
    [1, 2, 3],
    ["x", 1],
    [[1, [2]]],
    [1] * 5000,
    {},
    {"a": {"b": [1]}},
]


@dataclass(frozen=True)
class Seeds:
    """What is mutated, in a folder that also holds the photos to run on."""

    folder: Path
    checkpoints: tuple[tuple[dict[str, Any], dict[str, Tensor]], ...]  # header and tensors
    recipe: Mapping[str, Any]
    state: Path


def plant(folder: Path) -> Seeds:
    """Make the seeds, with a training of two steps."""
    photos = folder / "photos"
    photos.mkdir()
    rng = np.random.default_rng(0)
    for number in range(3):
        pixels = rng.integers(0, 256, (24, 20 + number, 3), np.uint8)
        Image.fromarray(pixels).save(photos / f"{number}.png")
    found = []
    torch.manual_seed(0)
    for arch, params in NETWORKS.items():
        network = archs.build(arch, params)
        header = {
            "format": FORMAT,
            "task": "denoise",
            "arch": arch,
            "params": params,
            "channels": 1,
            "conditions": {"sigma": [0, 75]},
            "precisions": ["fp32"],
            "recipe": {"steps": 3, "levels": {"sigma": [0, 75]}, "validation": [{"sigma": 25}]},
            "scores": [{"set": "s", "sigma": 25, "psnr": 29.5, "ssim": 0.8, "protocol": "p"}],
            "data": "3 images",
            "commit": "abc",
        }
        found.append((header, network.checkpoint_state()))
    recipe = {
        "task": "denoise",
        "arch": "baselines:DnCNN",
        "params": NETWORKS["baselines:DnCNN"],
        "levels": {"sigma": [5, 50]},
        "validation": [{"sigma": 25}],
        "steps": 2,
        "validate_every": 2,
        "batch": 1,
        "patch": 16,
        "holdout": 2,
        "folders": ["."],
        "precision": "fp32",
        "betas": [0.9, 0.99],
        "lr": 0.001,
    }
    (folder / "recipe.toml").write_text(toml(recipe))
    words = train(folder, folder / "recipe.toml", "--out", str(folder / "seed.safetensors"))
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    return Seeds(folder, tuple(found), recipe, folder / "seed.state.safetensors")


def train(folder: Path, recipe: Path, *words: str) -> tuple[str, ...]:
    """The command that trains."""
    return ("train", str(recipe), "--data", str(folder / "photos"), "--workers", "0", *words)


# Mutations


def toml(values: Mapping[str, Any]) -> str:
    """A table as TOML, for all that may be in VALUES."""

    def literal(value: Any) -> str:
        if isinstance(value, dict):
            return (
                "{ "
                + ", ".join(f"{json.dumps(key)} = {literal(one)}" for key, one in value.items())
                + " }"
            )
        if isinstance(value, (list, tuple)):
            return "[" + ", ".join(map(literal, value)) + "]"
        if isinstance(value, float):
            return repr(value)
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")

    return "".join(f"{json.dumps(key)} = {literal(value)}\n" for key, value in values.items())


def another(rng: random.Random, value: Any) -> Any:
    """A value, half of the time of the same kind."""
    alike = [one for one in VALUES if type(one) is type(value)]
    return rng.choice(alike if alike and rng.random() < 0.5 else VALUES)


def change(rng: random.Random, tree: Any) -> Any:
    """A copy of tables and lists in which something is another value, missing, new, or
    elsewhere.
    """
    tree = json.loads(json.dumps(tree))
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        items = (
            node.items()
            if isinstance(node, dict)
            else enumerate(node)
            if isinstance(node, list)
            else ()
        )
        for key, value in items:
            places.append((node, key))
            walk(value)

    walk(tree)
    for _ in range(rng.choice((1, 1, 1, 3))):
        node, key = rng.choice(places)
        other, elsewhere = rng.choice(places)
        match rng.randrange(6):
            case 0 if isinstance(node, dict):
                node.pop(key, None)
            case 1 if isinstance(node, dict):
                node[rng.choice(("new", "x" * 100_000, "\x1b[31m", "", key + "s"))] = rng.choice(
                    VALUES
                )
            case 2 if (
                isinstance(other, dict)
                and elsewhere in other
                and not isinstance(other[elsewhere], (dict, list))
            ):
                node[key] = other[elsewhere]
            case _:
                node[key] = another(rng, node.get(key) if isinstance(node, dict) else node[key])
    return tree


def deepen(rng: random.Random, text: str) -> str:
    """A text with brackets within brackets where DEEP stands."""
    depth = rng.choice((7, 20, 500, 990, 100_000))
    return text.replace(json.dumps(DEEP), "[" * depth + "]" * depth)


def disturb(rng: random.Random, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict of which some tensors are others."""
    state = dict(state)
    for _ in range(rng.choice((0, 0, 1, 3))):
        key = rng.choice(list(state))
        value = state.pop(key)
        match rng.randrange(6):
            case 0 if state:
                continue
            case 1:
                value = value.reshape(-1).clone() if rng.random() < 0.5 else value[None].clone()
            case 2:
                value = torch.zeros(rng.choice((0, 1, 7)))
            case 3:
                value = value.to(
                    rng.choice((torch.float64, torch.bfloat16, torch.uint8, torch.bool))
                )
            case _:
                number = (
                    rng.choice((0, 1, 255))
                    if not value.is_floating_point()
                    else rng.choice((math.nan, 6e4))
                )
                value = torch.full_like(value, number)
        state[rng.choice((key, key, key, "new", "\x1b[31m", key * 1000))] = value
    return state


def _turn(rng: random.Random, params: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters of a network of which one is another."""
    key = rng.choice(list(params))
    return {**params, key: another(rng, params[key])}


def _checkpoint(rng: random.Random, seeds: Seeds, file: Path) -> Path:
    header, state = rng.choice(seeds.checkpoints)
    if rng.random() < 0.3:  # the parameters alone
        header = {
            **header,
            "params": _turn(rng, header["params"]),
        }
    elif rng.random() < 0.8:
        header = change(rng, header)
    if rng.random() < 0.1:
        header["arch"] = rng.choice(
            [*NETWORKS, "unet:Restorer", "layers:Bicubic", "..weights:Header", ":", "a\0b:c"]
        )
    text = deepen(rng, json.dumps(header))
    metadata = {} if rng.random() < 0.05 else {KEY: text}
    data = save(disturb(rng, state), metadata)
    path = file.with_suffix(".safetensors")
    path.write_bytes(garble(rng, data) if rng.random() < 0.3 else data)
    return path


def _pickle(rng: random.Random, seeds: Seeds, file: Path) -> Path:
    _, state = rng.choice(seeds.checkpoints)
    strange: list[Any] = [
        OrderedDict(state),
        {"state_dict": state, "epoch": 3},
        {"params": {"params": state}},
        {"params": [1]},
        {1: torch.ones(1)},
        {("a", 1): torch.ones(1)},
        {"m_head.weight": torch.ones(rng.choice((0, 1, 64)), 4, 3, 3), "m_down²": torch.ones(1)},
        {
            f"model.{2 * number}.weight": torch.ones(1, 1, 3, 3).expand(10**6, 10**6, 3, 3)
            for number in range(17)
        },
        {"x": torch.ones(2, dtype=torch.complex64)},
        {"x": torch.ones(2).to_sparse()},
        {"x": torch.ones(2, device="meta")},
        [state],
        torch.ones(3),
        None,
        10**400,
        "text",
    ]
    value = disturb(rng, state) if rng.random() < 0.4 else rng.choice(strange)
    packed = io.BytesIO()
    torch.save(value, packed, _use_new_zipfile_serialization=rng.random() < 0.8)
    data = packed.getvalue()
    if data[:2] == b"PK" and rng.random() < 0.4:
        data = _repack(rng, data)
    path = file.with_suffix(".pth")
    path.write_bytes(garble(rng, data) if rng.random() < 0.5 else data)
    return path


def _repack(rng: random.Random, data: bytes) -> bytes:
    """An archive whose members are other, larger, missing or there twice."""
    packed = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(data)) as old,
        zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for info in old.infolist():
            content = old.read(info)
            match rng.randrange(8):
                case 0:
                    content = bytes(rng.choice((0, 100, 30_000_000)))
                case 1:
                    content = garble(rng, content)
                case 2:
                    continue
                case 3:
                    new.writestr(f"{info.filename}/../../x", content, zipfile.ZIP_STORED)
            new.writestr(
                info.filename, content, rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
            )
    return packed.getvalue()


def _recipe(rng: random.Random, seeds: Seeds, file: Path) -> Path:
    recipe = change(rng, seeds.recipe)
    if rng.random() < 0.3:
        arch, params = rng.choice(list(NETWORKS.items()))
        recipe |= {"arch": arch, "params": _turn(rng, params)}
    data = deepen(rng, toml(recipe)).encode("utf-8", "surrogatepass")
    path = file.with_suffix(".toml")
    path.write_bytes(garble(rng, data) if rng.random() < 0.3 else data)
    return path


def _state(rng: random.Random, seeds: Seeds, file: Path) -> Path:
    with safe_open(seeds.state, "pt") as whole:
        metadata = dict(whole.metadata())
        state = {key: whole.get_tensor(key) for key in whole.keys()}  # noqa: SIM118
    if rng.random() < 0.6:
        key = rng.choice(list(metadata))
        try:
            metadata[key] = deepen(rng, json.dumps(change(rng, json.loads(metadata[key]))))
        except (ValueError, IndexError):  # no table
            metadata[key] = str(rng.choice(VALUES)).encode(errors="replace").decode()
    data = save(disturb(rng, state), metadata)
    path = file.with_name(f"{file.name}.state.safetensors")
    path.write_bytes(garble(rng, data) if rng.random() < 0.4 else data)
    return path


KINDS = {
    "checkpoint": (_checkpoint, 40),
    "pickle": (_pickle, 20),
    "recipe": (_recipe, 25),
    "state": (_state, 15),
}


def make(seeds: Seeds, seed: int) -> Case:
    """The case of a seed."""
    rng = random.Random(seed)
    names, shares = zip(*((name, share) for name, (_, share) in KINDS.items()), strict=True)
    [kind] = rng.choices(names, shares)
    work = seeds.folder / "case"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    file = KINDS[kind][0](rng, seeds, work / "case")
    if kind == "recipe":
        return Case(
            file, (train(seeds.folder, file, "--dry-run", "--out", str(work / "new.safetensors")),)
        )
    if kind == "state":
        shutil.copy(seeds.state.with_name("seed.csv"), work / "case.csv")
        out = str(work / "case.safetensors")
        return Case(
            file, (train(seeds.folder, seeds.folder / "recipe.toml", "--resume", "--out", out),)
        )
    photo = str(seeds.folder / "photos" / "0.png")
    restored = (
        "denoise",
        photo,
        "--sigma",
        "25",
        "-o",
        str(work / "new.png"),
        "--model",
        str(file),
    )
    return Case(
        file, (("models", "show", str(file)), ("models", "show", "--json", str(file)), restored)
    )


# Answers


def examine(case: Case) -> Verdict:
    """What comes of a case, and what is wrong with that."""
    faults, codes = [], []
    work = case.file.parent
    for command in case.commands:
        code, fault = invoke(command)
        codes.append(code)
        if fault:
            faults.append(f"{' '.join(command[:2])}: {fault}")
        if code and (made := [path.name for path in work.iterdir() if path.name.startswith("new")]):
            faults.append(
                f"{' '.join(command[:2])}: exit code {code}, but it wrote {', '.join(made)}"
            )
    if case.commands[0][0] == "models":
        if codes[0] not in (0, 3) or codes[1] != codes[0]:
            faults.append(f"models show: exit codes {codes[:2]}, not 0 or 3")
        if codes[0] == 3 and codes[2] != 3:
            faults.append(f"denoise: exit code {codes[2]} with a checkpoint that is refused")
    return Verdict(f"{case.file.suffix} {codes[-1]}", faults)
