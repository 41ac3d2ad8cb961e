"""Networks of ONNX files: our own exports, plain ones of others, and what is refused."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner, Result

from restore_cli.cli import app
from restore_cli.engine import Settings, run
from restore_cli.errors import RestoreError, UsageError, WeightsError
from restore_cli.models import catalog, checkpoint
from restore_cli.models.export import export

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

helper, numbers, FLOAT = onnx.helper, onnx.numpy_helper, onnx.TensorProto.FLOAT
ANY = (1, 3, "height", "width")
RGB = np.random.default_rng(0).random((40, 60, 3), np.float32)


def write(
    path: Path,
    nodes: Sequence[Any],
    weight: np.ndarray | None = None,
    *,
    shape: Sequence[int | str] | None = ANY,
    kind: int = FLOAT,
    inputs: int = 1,
    outputs: Sequence[str] = ("y",),
    domains: Sequence[str] = ("",),
    **others: Any,
) -> Path:
    """A file with these nodes between x and y, and perhaps a weight w."""
    given = ["x", *(f"x{number}" for number in range(1, inputs))]
    tensors = [] if weight is None else [numbers.from_array(weight, "w")]
    graph = helper.make_graph(
        list(nodes),
        "network",
        [helper.make_tensor_value_info(name, kind, shape) for name in given],
        [helper.make_tensor_value_info(name, kind, None) for name in outputs],
        tensors,
    )
    opsets = [helper.make_opsetid(domain, 17 if not domain else 1) for domain in domains]
    model = helper.make_model(
        graph, opset_imports=opsets, ir_version=9, producer_name="a test", **others
    )
    path.write_bytes(model.SerializeToString())
    return path


def node(name: str, *words: str, **attributes: Any) -> Any:
    """A node from all words but the last to the last."""
    return helper.make_node(name, list(words[:-1]), [words[-1]], **attributes)


def blur(channels: int = 3) -> np.ndarray:
    """A 5 x 5 mean of each channel."""
    return np.eye(channels, dtype=np.float32)[:, :, None, None] * np.full(
        (5, 5), 1 / 25, np.float32
    )


def conv(*, channels: int = 3) -> list[Any]:
    return [node("Conv", "x", "w", "y", pads=[2, 2, 2, 2])]


def larger(scale: int) -> list[Any]:
    """Nearest, by channels that are repeated and shuffled."""
    many = [node("Concat", *(["x"] * scale**2), "c", axis=1)]
    return [*many, node("DepthToSpace", "c", "y", blocksize=scale, mode="DCR")]


def blurred(pixels: np.ndarray) -> np.ndarray:
    """What the mean is, black beyond the borders."""
    planes = torch.from_numpy(pixels.transpose(2, 0, 1))[None]
    made = torch.nn.functional.conv2d(planes, torch.from_numpy(blur(pixels.shape[2])), padding=2)
    return made[0].numpy().transpose(1, 2, 0)


def restore(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


# Our own


@pytest.fixture(scope="module", params=["deblock-color", "sr-color-x3"])
def exported(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path]:
    """A default's name, and its export, which takes its time."""
    pytest.importorskip("onnxscript")
    path = tmp_path_factory.mktemp("exported") / "mine.onnx"
    export(checkpoint.load(catalog.entries()[request.param]), path)
    return request.param, path


@pytest.mark.weights
def test_our_own_exports_give_what_pytorch_does(exported: tuple[str, Path]) -> None:
    ours, found = checkpoint.load(catalog.entries()[exported[0]]), checkpoint.load(exported[1])
    assert (found.task, found.channels) == (ours.task, ours.channels)
    assert list(found.conditions.items()) == list(ours.conditions.items())
    own, other = ours.network.geometry, found.network.geometry
    assert replace(other, floats=0) == replace(own, floats=0) and other.floats >= 256
    planes = (0.3,) * own.conditions
    whole, *others = (
        run(loaded.network, RGB, planes, Settings("cpu", "fp32", tile)).pixels
        for loaded, tile in ((ours, 0), (found, 0), (found, 32))
    )
    for result in others:
        assert np.abs(whole - result).max() <= 1e-4


@pytest.mark.weights
def test_an_export_restores_a_photo_as_the_model_does(
    exported: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name, file = exported[0], str(exported[1])
    task, other = ("sr", "deblock") if name.startswith("sr") else ("deblock", "denoise")
    scale = ["--scale", "3"] * (task == "sr")
    Image.fromarray(np.uint8(RGB * 255)).save("photo.png")
    for out, model in (("a.png", name), ("b.png", file)):
        result = restore(
            task, "photo.png", "-o", out, "--model", model, "--precision", "fp32", *scale
        )
        assert result.exit_code == 0, result.stderr
    first, second = (np.asarray(Image.open(out), np.int16) for out in ("a.png", "b.png"))
    assert np.abs(first - second).max() <= 1
    result = restore(other, "photo.png", "-o", "c.png", "--model", file)
    assert result.exit_code == 2
    assert f"for {other}: it is for {task}." in " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("scale", "2", "its scale is not 2"),
        ("radius", "-1", "its radius is -1, not from 0 to 4096"),
        ("multiple", "many", "metadata are damaged"),
        ("channels", "1", "input has 3 channels, which contradicts its metadata"),
        ("trained", "[[", "header of .* is damaged"),
        ("trained", "{\"sigma\": -5}", "condition sigma cannot be -5"),
    ],
)  # fmt: skip
def test_what_a_file_states_is_checked(key: str, value: str, sentence: str, tmp_path: Path) -> None:
    stated = {"task": "denoise", "channels": "3", "conditions": "0", "scale": "1", "multiple": "1"}
    path = write(tmp_path / "x.onnx", conv(), blur())
    model = onnx.load(path)
    helper.set_model_props(model, {**stated, "radius": "2", "trained": '{"sigma": 25}', key: value})
    path.write_bytes(model.SerializeToString())
    with pytest.raises(WeightsError, match=sentence):
        checkpoint.load(path)


# Those of others


@pytest.mark.parametrize("tile", [0, 64])
def test_a_plain_network_runs_in_tiles_that_overlap(tile: int, tmp_path: Path) -> None:
    loaded = checkpoint.load(write(tmp_path / "x.onnx", conv(), blur()))
    geometry = loaded.network.geometry
    assert (geometry.channels, geometry.scale, geometry.multiple, geometry.local) == (
        3,
        1,
        1,
        False,
    )
    assert (loaded.task, loaded.header.arch) == ("", "onnx")
    pixels = np.random.default_rng(0).random((90, 200, 3), np.float32)
    made = run(loaded.network, pixels, (), Settings("cpu", tile=tile)).pixels
    np.testing.assert_allclose(made, blurred(pixels), atol=5e-3 if tile else 1e-5)


def test_a_network_that_enlarges_is_for_sr(tmp_path: Path) -> None:
    loaded = checkpoint.load(write(tmp_path / "x.onnx", larger(3)))
    assert (loaded.task, loaded.conditions) == ("sr", {"scale": 3})
    made = run(loaded.network, RGB, (), Settings("cpu")).pixels
    np.testing.assert_array_equal(made, RGB.repeat(3, axis=0).repeat(3, axis=1))


def test_a_grid_is_found(tmp_path: Path) -> None:
    nodes = [
        node("SpaceToDepth", "x", "s", blocksize=4),
        node("DepthToSpace", "s", "y", blocksize=4),
    ]
    loaded = checkpoint.load(write(tmp_path / "x.onnx", nodes))
    assert loaded.network.geometry.multiple == 4
    pixels = RGB[:, :58]
    np.testing.assert_array_equal(run(loaded.network, pixels, (), Settings("cpu")).pixels, pixels)


def test_a_gray_network(tmp_path: Path) -> None:
    loaded = checkpoint.load(write(tmp_path / "x.onnx", conv(), blur(1), shape=(1, 1, "h", "w")))
    assert loaded.channels == 1
    gray = RGB[..., :1]
    np.testing.assert_allclose(run(loaded.network, gray, ()).pixels, blurred(gray), atol=1e-5)


@pytest.mark.parametrize(("height", "width"), [(40, 60), (1, 1), (64, 64), (130, 150), (20, 200)])
@pytest.mark.parametrize("scale", [1, 2])
@pytest.mark.parametrize("sides", [(64, 64), (64, 80), ("h", 64)])
def test_one_size_of_pictures_serves_all(
    sides: tuple[int | str, int], scale: int, height: int, width: int, tmp_path: Path
) -> None:
    nodes = [node("Identity", "x", "y")] if scale == 1 else larger(2)
    network = checkpoint.load(write(tmp_path / "x.onnx", nodes, shape=(1, 3, *sides))).network
    pixels = np.random.default_rng(1).random((height, width, 3), np.float32)
    made = run(network, pixels, (), Settings("cpu", tile=0))
    np.testing.assert_allclose(made.pixels, pixels.repeat(scale, 0).repeat(scale, 1), atol=1e-5)
    assert (made.tile == 0) == (max(height, width) <= 64)


def test_half_precision(tmp_path: Path) -> None:
    half = onnx.TensorProto.FLOAT16
    loaded = checkpoint.load(
        write(tmp_path / "x.onnx", conv(), blur().astype(np.float16), kind=half)
    )
    made = run(loaded.network, RGB, ()).pixels
    assert made.dtype == np.float32
    np.testing.assert_allclose(made, blurred(RGB), atol=2e-3)


def test_the_command_says_what_tiles_cost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.uint8(RGB * 255)).resize((300, 150)).save("photo.png")
    write(Path("any.onnx"), conv(), blur())
    write(Path("fixed.ONNX"), conv(), blur(), shape=(1, 3, 64, 64))
    for name, sentence in (
        ("any", "--tile 0 avoids that"),
        ("fixed", "takes 64 x 64 pixels at once"),
    ):
        file = next(tmp_path.glob(f"{name}.*")).name
        result = restore(
            "denoise", "photo.png", "-o", f"{name}.png", "--model", file, "--tile", "96"
        )
        assert result.exit_code == 0, result.stderr
        assert f"{file} " in result.stderr and sentence in " ".join(result.stderr.split())
        with Image.open(f"{name}.png") as made:
            assert made.size == (300, 150)


def test_it_says_what_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(Path("x.onnx"), conv(), blur(), shape=(1, 3, 64, 64))
    result = restore("models", "show", "x.onnx", "--json")
    assert result.exit_code == 0, result.stderr
    (told,) = json.loads(result.stdout)
    assert (told["parameters"], told["opset"], told["written by"]) == ("225", "17", "a test")
    assert told["size of pictures"] == "64 x 64, others in tiles"
    assert told["stored as"] == "ONNX, float32" and "approximate" in told["tiles"]
    assert restore("models", "show", "x.onnx").exit_code == 0
    result = restore("models", "export", "x.onnx", "y.onnx")
    assert result.exit_code == 2 and "ONNX file already" in result.stderr


def test_it_is_measured_by_bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RESTORE_CACHE", str(tmp_path / "cache"))
    Path("photos").mkdir()
    Image.fromarray(np.uint8(RGB * 255)).save("photos/a.png")
    write(Path("x.onnx"), conv(), blur())
    result = restore("bench", "denoise", "photos", "--sigma", "25", "--model", "x.onnx", "--json")
    assert result.exit_code == 0, result.stderr
    rows = json.loads(result.stdout)
    assert [row["model"] for row in rows] == ["input", "x.onnx"]
    assert "parameters" not in rows[1]["figures"]


def test_it_runs_with_as_many_threads_as_pytorch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnxruntime

    path, kept = write(tmp_path / "x.onnx", conv(), blur()), list[Any]()
    session = onnxruntime.InferenceSession

    def make(data: bytes, options: Any, **more: Any) -> Any:
        kept.append(options)
        return session(data, options, **more)

    monkeypatch.setattr(onnxruntime, "InferenceSession", make)
    checkpoint.load(path)
    assert [options.intra_op_num_threads for options in kept] == [torch.get_num_threads()]


def test_another_device_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = checkpoint.load(write(tmp_path / "x.onnx", conv(), blur())).network
    with pytest.raises(
        UsageError, match=r"on cuda: ONNX files run on the CPU only. Use --device cpu"
    ):
        run(network, RGB, (), Settings("cuda"))
    assert run(network, RGB, (), Settings("cpu", precision="bf16")).precision == "fp32"


# What is refused


def outside(path: Path) -> Path:
    """A file whose weight lies in another one."""
    write(path, conv(), blur())
    model = onnx.load(path)
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="secret.bin")
    path.write_bytes(model.SerializeToString())
    path.with_name("secret.bin").write_bytes(blur().tobytes())
    return path


def hidden(path: Path) -> Path:
    """The same, in the attribute of a node within a branch."""
    tensor = onnx.TensorProto(
        name="t", data_type=FLOAT, dims=[1], data_location=onnx.TensorProto.EXTERNAL
    )
    tensor.external_data.add(key="location", value="secret.bin")
    made = helper.make_tensor_value_info("t", FLOAT, [1])
    branch = helper.make_graph([node("Constant", "t", value=tensor)], "branch", [], [made])
    condition = helper.make_tensor("c", onnx.TensorProto.BOOL, [], [True])
    nodes = [
        node("Constant", "c", value=condition),
        node("If", "c", "z", then_branch=branch, else_branch=branch),
        node("Add", "x", "z", "y"),
    ]
    return write(path, nodes)


def endless(path: Path) -> Path:
    """A loop of 2**62 rounds."""
    one = helper.make_tensor_value_info("i", onnx.TensorProto.INT64, [])
    more = helper.make_tensor_value_info("c", onnx.TensorProto.BOOL, [])
    seen, made = (helper.make_tensor_value_info(name, FLOAT, ANY) for name in ("s", "t"))
    body = helper.make_graph(
        [node("Identity", "s", "t"), node("Identity", "c", "d")],
        "body",
        [one, more, seen],
        [helper.make_tensor_value_info("d", onnx.TensorProto.BOOL, []), made],
    )
    rounds = helper.make_tensor("n", onnx.TensorProto.INT64, [], [2**62])
    return write(
        path, [node("Constant", "n", value=rounds), node("Loop", "n", "", "x", "y", body=body)]
    )


def huge(path: Path) -> Path:
    """16 GiB of zeros."""
    return write(
        path,
        [node("ConstantOfShape", "w", "z"), node("Add", "x", "z", "y")],
        np.array([1, 1, 2**16, 2**16]),
    )


REFUSED: dict[str, tuple[Callable[[Path], Any], str]] = {
    "two inputs": (
        lambda p: write(p, [node("Add", "x", "x1", "y")], inputs=2),
        r"has 2 inputs \(x, x1\)",
    ),
    "two outputs": (
        lambda p: write(p, [node("Identity", "x", "y"), node("Abs", "x", "z")], outputs=("y", "z")),
        r"has 2 outputs \(y, z\)",
    ),
    "rank 3": (
        lambda p: write(p, [node("Identity", "x", "y")], shape=(3, "h", "w")),
        "has 3 dimensions",
    ),
    "no shape": (lambda p: write(p, [node("Identity", "x", "y")], shape=None), "has 0 dimensions"),
    "bytes": (
        lambda p: write(p, [node("Identity", "x", "y")], kind=onnx.TensorProto.UINT8),
        "type uint8",
    ),
    "double": (
        lambda p: write(p, [node("Identity", "x", "y")], kind=onnx.TensorProto.DOUBLE),
        "double",
    ),
    "a batch": (
        lambda p: write(p, [node("Identity", "x", "y")], shape=(4, 3, "h", "w")),
        "batch size of 4",
    ),
    "channels last": (
        lambda p: write(p, [node("Identity", "x", "y")], shape=(1, "h", "w", 3)),
        "N x H x W x C",
    ),
    "four channels": (
        lambda p: write(p, [node("Identity", "x", "y")], shape=(1, 4, "h", "w")),
        "has 4 channels",
    ),
    "a class": (
        lambda p: write(p, [node("GlobalAveragePool", "x", "y")]),
        r"into \[1, 3, 1, 1\]",
    ),
    "a number": (lambda p: write(p, [node("ReduceMax", "x", "y", keepdims=0)]), r"into \[\]"),
    "smaller": (
        lambda p: write(p, [node("AveragePool", "x", "y", kernel_shape=[2, 2], strides=[2, 2])]),
        "which is not an image",
    ),
    "tiny": (
        lambda p: write(p, [node("Identity", "x", "y")], shape=(1, 3, 8, 8)),
        "fixed input size is 8 x 8",
    ),
    "vast": (
        lambda p: write(p, [node("Identity", "x", "y")], shape=(1, 3, 64, 2**30)),
        "fixed input size",
    ),
    "other file": (outside, "other files, which are never opened"),
    "other file, hidden": (hidden, "other files, which are never opened"),
    "own operator": (
        lambda p: write(p, [node("Run", "x", "y", domain="strange")], domains=("", "strange")),
        "operator strange:Run from another library, which is never loaded",
    ),
    "unknown operator": (
        lambda p: write(p, [node("Restore", "x", "y")]),
        "onnxruntime .* does not accept it",
    ),
    "endless": (endless, "operator Loop, which may never finish"),
    "huge": (huge, "computes 4,294,967,296 numbers"),
    "text": (lambda p: p.write_bytes(b"no network"), "not an ONNX file"),
    "no text": (
        lambda p: p.write_bytes(
            write(p, conv(), blur()).read_bytes().replace(b"Conv", b"C\xfb\xfbv")
        ),
        "Cannot load",
    ),
    "nothing": (lambda p: p.write_bytes(b""), "Cannot load"),
    "cut": (
        lambda p: p.write_bytes(write(p, conv(), blur()).read_bytes()[:-40]),
        "damaged, or not an ONNX file",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused_with_one_sentence(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    make, sentence = REFUSED[name]
    monkeypatch.chdir(tmp_path)
    make(Path("x.onnx"))
    with pytest.raises(WeightsError, match=sentence) as caught:
        checkpoint.load(Path("x.onnx"))
    assert str(caught.value).startswith("Cannot load x.onnx: ") and "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_what_fails_on_a_photo_is_one_sentence(tmp_path: Path) -> None:
    """Its largest picture is one of 100 x 100: what the trial does not show."""
    shape = np.array([1, 3, 100, 100])
    nodes = [node("Shape", "x", "s"), node("Less", "w", "s", "l"), node("Cast", "l", "i", to=7)]
    nodes += [node("ReduceMax", "i", "m", keepdims=0), node("Gather", "x", "m", "g", axis=0)]
    nodes += [node("Reshape", "g", "s", "y")]
    loaded = checkpoint.load(write(tmp_path / "x.onnx", nodes, shape))
    with pytest.raises(RestoreError, match=r"Cannot run the network: .* Use another --model"):
        run(loaded.network, np.zeros((120, 120, 3), np.float32), (), Settings("cpu", tile=0))


def test_onnxruntime_sends_no_usage_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY", raising=False)
    checkpoint.load(write(tmp_path / "x.onnx", conv(), blur()))
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"


@pytest.mark.parametrize("missing", ["onnx", "onnxruntime"])
def test_without_the_extra_it_says_what_to_install(
    missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "x.onnx", conv(), blur())
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(WeightsError, match=r"Run `pip install 'restore-cli\[onnx\]'`"):
        checkpoint.load(tmp_path / "x.onnx")
