"""`--provenance`, `restore info` and `restore rerun` as the shell sees them."""

from __future__ import annotations

import getpass
import hashlib
import io
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from defusedxml import ElementTree
from PIL import Image
from typer.testing import CliRunner, Result

import restore_cli
from restore_cli.cli import app
from restore_cli.cli.chain import parse_chain
from restore_cli.cli.fields import fill_task
from restore_cli.image import (
    Metadata,
    Property,
    append_items,
    read_list,
    read_picture,
    write_picture,
)
from restore_cli.pipeline.provenance import RUNS, read_runs
from restore_cli.report.provenance import PastModel, PastStep, Provenance
from restore_cli.tasks import Task, find_task
from restore_cli.tasks.deblock import Deblock
from restore_cli.tasks.denoise import Denoise
from restore_cli.tasks.inpaint import Inpaint
from restore_cli.tasks.sr import Sr

Run = Callable[..., Result]
RDF = 'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'
HISTORY = Property("http://ns.adobe.com/xap/1.0/mm/", "xmpMM", "History")
EDITOR = (  # as editors write it: padded, with a history, and with single quotes
    "<?xpacket begin='\ufeff' id='W5M0MpCehiHzreSzNTczkc9d'?>\n"
    f"<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF {RDF}>\n"
    " <rdf:Description rdf:about='uuid:1' xmlns:xmp='http://ns.adobe.com/xap/1.0/'"
    " xmlns:xmpMM='http://ns.adobe.com/xap/1.0/mm/'"
    " xmlns:stEvt='http://ns.adobe.com/xap/1.0/sType/ResourceEvent#' xmp:CreatorTool='Cämera'>\n"
    "  <xmpMM:History><rdf:Seq><rdf:li stEvt:action='created'/>\n </rdf:Seq></xmpMM:History>\n"
    " </rdf:Description>\n</rdf:RDF></x:xmpmeta>\n" + " " * 200 + "\n<?xpacket end='w'?>"
).encode()
FORMATS = ["png", "jpg", "webp", "tif", "avif", "heic", "jxl"]


def photo(path: Path, *, xmp: bytes | None = None, channels: int = 3, depth: int = 8) -> Path:
    """A smooth photo with noise."""
    noise = np.random.default_rng(0).standard_normal((24, 30, channels))
    pixels = (np.linspace(0.2, 0.8, 720).reshape(24, 30, 1) + 0.04 * noise).astype(np.float32)
    picture = read_picture(_png())
    picture = replace(picture, pixels=pixels, depth=depth, metadata=Metadata(xmp=xmp))
    write_picture(picture, path)
    return path


def _png() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (1, 1)).save(buffer, "PNG")
    return buffer.getvalue()


def packet_of(path: Path) -> bytes:
    return read_picture(path).metadata.xmp or b""


def run_of(path: Path) -> Provenance:
    return read_runs(read_picture(path))[-1]


def with_run(path: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """Write a photo whose provenance somebody has changed."""
    source = Path("photo.denoised.png")
    values = asdict(run_of(source))
    change(values)
    return with_packet(path, append_items(None, {RUNS: json.dumps(values)}))


def with_packet(path: Path, packet: bytes) -> Path:
    picture = read_picture(Path("photo.denoised.png"))
    write_picture(replace(picture, metadata=Metadata(xmp=packet)), path)
    return path


@pytest.fixture
def run(checkpoints: dict[int, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in an empty folder; `MODEL` is a model that returns its input."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")

    def run(line: str, *, channels: int = 3, stdin: bytes = b"") -> Result:
        words = line.replace("MODEL", str(checkpoints[channels])).split()
        return CliRunner().invoke(app, words, input=stdin, env={"COLUMNS": "400"})

    return run


def ok(result: Result) -> Result:
    assert result.exit_code == 0, result.output
    return result


def refused(result: Result, code: int, *words: str) -> None:
    assert result.exit_code == code, result.output
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1, result.stderr
    for word in words:
        assert word in result.stderr


@pytest.fixture
def restored(run: Run, tmp_path: Path) -> Run:
    """The same, with photo.png and photo.denoised.png."""
    photo(tmp_path / "photo.png")
    ok(run("denoise photo.png --sigma 9 --provenance --model MODEL"))
    return run


# Written and read in every format


@pytest.mark.parametrize("xmp", [None, EDITOR], ids=["new", "editor"])
@pytest.mark.parametrize("suffix", FORMATS)
def test_written_read_and_repeated(
    run: Run, tmp_path: Path, suffix: str, xmp: bytes | None
) -> None:
    source = photo(tmp_path / f"a.{suffix}", xmp=xmp)
    result = ok(run(f"denoise a.{suffix} --sigma 9 --strength 50% --provenance --model MODEL"))
    assert "provenance" not in result.stderr
    output = tmp_path / f"a.denoised.{suffix}"
    (step,) = run_of(output).steps
    assert (step.task, step.given, step.strength) == ("denoise", ("sigma=9",), 0.5)
    assert (step.used, step.runs[0].device) == ({"sigma": 9.0}, "cpu")
    if xmp:  # all old bytes are there, in their order
        new = iter(packet_of(output))
        assert all(byte in new for byte in packet_of(source))
    facts = json.loads(ok(run(f"info {output} --json")).stdout)
    assert facts["unchanged"] and facts["runs"][0]["date"] == "2023-11-14T22:13:20Z"
    again = ok(run(f"rerun {output} --from a.{suffix} --model MODEL"))
    assert again.stdout == f"{output}: equal, all bytes\n"
    assert {path.name for path in tmp_path.iterdir()} == {source.name, output.name}


@pytest.mark.parametrize("xmp", [None, EDITOR], ids=["new", "editor"])
def test_other_programs_see_an_edit_in_the_history(
    run: Run, tmp_path: Path, xmp: bytes | None
) -> None:
    photo(tmp_path / "a.jpg", xmp=xmp)
    ok(run("denoise a.jpg --sigma 9 --provenance --model MODEL"))
    with Image.open("a.denoised.jpg") as image:
        root = ElementTree.fromstring(image.info["xmp"])
    items = root.findall(f".//{HISTORY.tag}//*")
    event = {key.partition("}")[2]: value for key, value in items[-1].attrib.items()}
    assert event == {
        "action": "edited",
        "softwareAgent": f"restore-cli {restore_cli.__version__}",
        "when": "2023-11-14T22:13:20Z",
        "parameters": "denoise --sigma 9",
    }
    about = {value for node in root.iter() for key, value in node.items() if "about" in key}
    assert about == ({"uuid:1"} if xmp else {""})  # one subject in the whole packet
    tools = [value for node in root.iter() for key, value in node.items() if "CreatorTool" in key]
    assert tools == (["Cämera"] if xmp else [])


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("channels", [1, 3])
def test_16_bits(run: Run, tmp_path: Path, suffix: str, channels: int) -> None:
    photo(tmp_path / f"a.{suffix}", channels=channels, depth=16)
    ok(run(f"denoise a.{suffix} --sigma 9 --provenance --model MODEL", channels=channels))
    output = f"a.denoised.{suffix}"
    samples = cv2.imread(output, cv2.IMREAD_UNCHANGED)
    assert samples is not None and samples.dtype == np.uint16
    facts = json.loads(ok(run(f"info {output} --json")).stdout)
    assert (facts["depth"], facts["channels"], facts["unchanged"]) == (16, channels, True)
    again = run(f"rerun {output} --from a.{suffix} --model MODEL", channels=channels)
    assert "equal, all bytes" in ok(again).stdout


def test_the_checksum_of_pixels_is_that_of_the_raw_samples(run: Run, tmp_path: Path) -> None:
    photo(tmp_path / "a.tif", depth=16)
    ok(run("denoise a.tif --sigma 9 --provenance --model MODEL"))
    samples = cv2.imread("a.tif", cv2.IMREAD_UNCHANGED)
    assert samples is not None
    raw = samples[..., ::-1].astype("<u2").tobytes()  # OpenCV reads BGR
    made = run_of(tmp_path / "a.denoised.tif")
    assert made.input_pixels_sha256 == hashlib.sha256(raw).hexdigest()


def test_gray_in_formats_that_store_rgb(run: Run, tmp_path: Path) -> None:
    photo(tmp_path / "a.png", channels=1)
    ok(run("denoise a.png --format webp --sigma 9 --provenance --model MODEL", channels=1))
    assert json.loads(run("info a.denoised.webp --json").stdout)["unchanged"]
    again = run("rerun a.denoised.webp --from a.png --model MODEL", channels=1)
    assert "equal, all bytes" in ok(again).stdout


@pytest.mark.parametrize("suffix", ["bmp", "ppm"])
def test_formats_without_metadata(run: Run, tmp_path: Path, suffix: str) -> None:
    photo(tmp_path / f"a.{suffix}")
    result = ok(run(f"denoise a.{suffix} --sigma 9 --provenance --json --model MODEL"))
    warnings = json.loads(result.stdout)["warnings"]
    name = {"bmp": "BMP", "ppm": "PPM"}[suffix]
    assert warnings == [
        f"{name} cannot store metadata, so the provenance was not written. Use PNG or TIFF."
    ]
    assert "provenance: none" in ok(run(f"info a.denoised.{suffix}")).stdout


def test_off_by_default(run: Run, tmp_path: Path) -> None:
    photo(tmp_path / "a.png")
    ok(run("denoise a.png --sigma 9 --model MODEL"))
    assert packet_of(tmp_path / "a.denoised.png") == b""


def test_an_unchanged_photo_is_copied(run: Run, tmp_path: Path) -> None:
    photo(tmp_path / "a.png")
    result = ok(run("denoise a.png --strength 0 --sigma 9 --provenance --model MODEL"))
    assert "copied without provenance" in result.stderr
    assert Path("a.denoised.png").read_bytes() == Path("a.png").read_bytes()


def test_runs_add_up(restored: Run, tmp_path: Path) -> None:
    line = "denoise photo.denoised.png -o twice.jpg --sigma 5 --ensemble --provenance --model MODEL"
    ok(restored(line))
    text = ok(restored("info twice.jpg")).stdout
    first, second = (text.index(f"denoise --sigma {sigma}") for sigma in (9, 5))
    assert first < second and "averaged over flips" in text and "quality 95" in text
    again = ok(restored("rerun twice.jpg --from photo.denoised.png --model MODEL"))
    assert "equal, all bytes" in again.stdout


def test_dates(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photo(tmp_path / "a.png")
    line = "denoise a.png --overwrite --sigma 9 --provenance --model MODEL"
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "soon")
    refused(run(line), 2, "'soon' is not a valid SOURCE_DATE_EPOCH")
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    ok(run(line))
    date = run_of(tmp_path / "a.denoised.png").date
    before = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 100))
    assert before < date <= time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def test_no_names_of_files_people_and_machines(
    restored: Run, tmp_path: Path, checkpoints: dict[int, Path]
) -> None:
    packet = packet_of(tmp_path / "photo.denoised.png").decode()
    names = [getpass.getuser(), socket.gethostname(), str(tmp_path), "photo", checkpoints[3].stem]
    assert not [name for name in names if name in packet]


def test_resuming_with_provenance_restores_again(run: Run, tmp_path: Path) -> None:
    photo(tmp_path / "a.png")
    line = "denoise a.png -o out/ --sigma 9 --resume --model MODEL"
    ok(run(line))
    ok(run(f"{line} --provenance"))
    assert run_of(tmp_path / "out/a.denoised.png").steps
    assert "skipped" in ok(run(f"{line} --provenance")).stderr


# Packets of other programs


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (EDITOR[:300], "not well-formed"),
        (b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", "document type"),
        (b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>", "cannot be added"),
        (EDITOR.replace(b"<rdf:Seq><rdf:li stEvt:action='created'/>\n </rdf:Seq>", b""), ""),
        (EDITOR.decode().encode("utf-16"), "well-formed"),
        (b"<a>" * 2**21, "larger than 4 MB"),
        (b"\xff" * 100, "not well-formed"),
    ],
    ids=["cut", "doctype", "empty", "history", "utf-16", "large", "noise"],
)
def test_broken_xmp_is_kept(run: Run, tmp_path: Path, packet: bytes, reason: str) -> None:
    photo(tmp_path / "a.png", xmp=packet)
    result = ok(run("denoise a.png --sigma 9 --provenance --model MODEL"))
    if reason:
        assert "The provenance was not written, and the XMP was kept as it is: " in result.stderr
        assert reason in result.stderr
        assert packet_of(tmp_path / "a.denoised.png") == packet
    else:  # a property that is not a list gets no item
        assert len(read_list(packet_of(tmp_path / "a.denoised.png"), RUNS)) == 1
    ok(run("info a.denoised.png"))


def test_zeros_after_a_packet(run: Run, tmp_path: Path) -> None:
    photo(tmp_path / "a.png", xmp=EDITOR + bytes(100))
    ok(run("denoise a.png --sigma 9 --provenance --model MODEL"))
    packet = packet_of(tmp_path / "a.denoised.png")
    assert packet.endswith(EDITOR[-200:] + bytes(100)) and len(read_list(packet, RUNS)) == 1


def test_a_packet_that_fills_a_segment_of_a_jpeg(run: Run, tmp_path: Path) -> None:
    packet = EDITOR.replace(b" " * 200, b" " * 64500)
    photo(tmp_path / "a.jpg", xmp=packet)
    result = ok(run("denoise a.jpg --sigma 9 --provenance --model MODEL"))
    assert "JPEG stores at most 65500 bytes" in result.stderr
    assert packet_of(tmp_path / "a.denoised.jpg") == packet


# Info


def test_info(run: Run, tmp_path: Path) -> None:
    icc = b"\0" * 200
    picture = read_picture(photo(tmp_path / "a.jpg", xmp=EDITOR))
    metadata = replace(picture.metadata, icc=icc, dpi=(300, 300), comments=(b"a",))
    write_picture(replace(picture, metadata=metadata), tmp_path / "b.jpg", jpeg_quality=80)
    result = run("info a.jpg b.jpg missing.jpg -", stdin=Path("a.jpg").read_bytes())
    assert result.exit_code == 1
    assert result.stderr.startswith("error: Cannot read missing.jpg: the file does not exist.")
    size = (tmp_path / "b.jpg").stat().st_size / 1000
    assert result.stdout.splitlines()[5:10] == [
        "b.jpg",
        f"  JPEG, 30 x 24 pixels, color, 8 bits per channel, {size:.1f} kB",
        "  JPEG quality 80, color profile damaged, 300 dpi",
        "  metadata: XMP, comments",
        "  provenance: none",
    ]
    assert "standard input" in result.stdout


def test_info_does_not_wait_for_torch(restored: Run) -> None:
    code = "import sys; from restore_cli.cli import app\ntry: app(['info', 'photo.denoised.png'])\n"
    code += "finally: assert 'torch' not in sys.modules"
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-c", code]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "restored by restore-cli" in answer.stdout


def test_info_of_a_changed_photo(restored: Run) -> None:
    assert "pixels: the same as when it was restored" in restored("info photo.denoised.png").stdout
    picture = read_picture(Path("photo.denoised.png"))
    picture.pixels[0, 0, 0] = 0
    write_picture(picture, Path("edited.png"))
    assert "pixels: not the same as when" in ok(restored("info edited.png")).stdout
    result = restored("rerun edited.png --from photo.png --model MODEL")
    assert result.exit_code == 1
    assert "edited.png: different, by up to " in result.stdout
    assert "The pixels of edited.png were changed after it was restored." in result.stdout


# Rerun


def test_rerun_writes_only_what_is_asked_for(restored: Run, tmp_path: Path) -> None:
    line = "rerun photo.denoised.png --from photo.png --model MODEL"
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    report = json.loads(ok(restored(f"{line} --json")).stdout)
    assert report == {
        "result": "file",
        "original": "file",
        "largest": 0.0,
        "changed": False,
        "differences": [],
    }
    assert before == {path: path.read_bytes() for path in tmp_path.iterdir()}
    ok(restored(f"{line} -o again.png"))
    assert Path("again.png").read_bytes() == Path("photo.denoised.png").read_bytes()
    refused(restored(f"{line} -o again.png"), 2, "again.png: it already exists.")
    for name in ("photo.png", "photo.denoised.png"):
        refused(restored(f"{line} --overwrite -o {name}"), 2, "it is an input")
    refused(restored(f"{line} -o again.jpg"), 2, "the result is a PNG file")
    ok(restored(f"{line} --overwrite -o again.png"))


def test_another_original(restored: Run, tmp_path: Path) -> None:
    picture = read_picture(Path("photo.png"))
    write_picture(replace(picture, metadata=Metadata(dpi=(72, 72))), Path("same.png"))
    result = ok(restored("rerun photo.denoised.png --from same.png --model MODEL"))
    assert "photo.denoised.png: equal, all pixels" in result.stdout
    assert "same.png has the pixels of the original, but is another file." in result.stdout
    picture.pixels[0, 0] += 0.2
    write_picture(picture, Path("other.png"))
    result = restored("rerun photo.denoised.png --from other.png --model MODEL")
    assert result.exit_code == 1
    assert "different, by up to 51 of 255" in result.stdout
    assert "other.png is not the original: its pixels differ." in result.stdout
    write_picture(replace(picture, metadata=Metadata(xmp=b"<a>")), Path("broken.png"))
    result = restored("rerun photo.denoised.png --from broken.png --model MODEL")
    assert result.exit_code == 1 and "different, by up to 51 of 255" in result.stdout
    write_picture(replace(picture, pixels=picture.pixels[:20]), Path("small.png"))
    result = restored("rerun photo.denoised.png --from small.png --model MODEL")
    assert result.exit_code == 1 and "different, in size or channels" in result.stdout


def test_another_version_and_model(
    restored: Run, tmp_path: Path, checkpoints: dict[int, Path]
) -> None:
    with_run(tmp_path / "old.png", lambda values: values.update(version="0.0.9"))
    result = ok(restored("rerun old.png --from photo.png --model MODEL"))
    assert "equal, all pixels" in result.stdout
    assert f"This is restore-cli {restore_cli.__version__}, and it was 0.0.9." in result.stdout

    def change(values: dict[str, Any]) -> None:
        values["steps"][0]["model"]["sha256"] = "0" * 64
        values["steps"][0]["runs"][0]["tile"] = 16

    with_run(tmp_path / "old.png", change)
    result = ok(restored("rerun old.png --from photo.png --model MODEL"))
    assert f"and it was a model file with sha256 {'0' * 64}." in result.stdout
    assert "in tiles of 16 pixels, and now it is" in result.stdout


def test_a_model_that_is_not_there(restored: Run) -> None:
    line = "rerun photo.denoised.png --from photo.png"
    refused(restored(line), 3, "Cannot find a model file with sha256", "Give its file as --model")
    refused(restored(f"{line} --model none.safetensors"), 3, "none.safetensors")


def test_masks(run: Run, tmp_path: Path) -> None:
    photo(tmp_path / "a.png")
    for name, box in (("mask", (2, 2, 9, 9)), ("other", (5, 5, 20, 20))):
        image = Image.new("L", (30, 24))
        image.paste(255, box)
        image.save(f"{name}.png")
    ok(run("denoise a.png --mask mask.png --sigma 9 --provenance --model MODEL"))
    line = "rerun a.denoised.png --from a.png --model MODEL"
    refused(run(line), 2, "it was restored with a mask. Give it as --mask.")
    assert "equal, all bytes" in ok(run(f"{line} --mask mask.png")).stdout
    assert "The mask is another one." in run(f"{line} --mask other.png").stdout
    ok(run("denoise a.png -o b.png --sigma 9 --provenance --model MODEL"))
    refused(run("rerun b.png --from a.png --model MODEL --mask mask.png"), 2, "without a mask")


def test_a_photo_without_provenance(restored: Run) -> None:
    refused(restored("rerun photo.png --from photo.png"), 2, "Restore it with --provenance")
    refused(restored("rerun none.png --from photo.png"), 1, "Cannot read none.png")
    result = restored("rerun photo.denoised.png --from none.png --model MODEL")
    refused(result, 1, "Cannot read none.png")


def test_chains(restored: Run, checkpoints: dict[int, Path]) -> None:
    text = "denoise --sigma 5 --strength 0.5 --model M | denoise --sigma 7 --model M"
    text = text.replace("M", str(checkpoints[3]))
    words = ["run", "photo.png", text, "--provenance", "--suffix", ".chain"]
    ok(CliRunner().invoke(app, words))
    info = ok(restored("info photo.chain.png")).stdout
    assert "denoise --sigma 5 --strength 0.5 | denoise --sigma 7\n" in info
    again = ok(restored("rerun photo.chain.png --from photo.png --model MODEL"))
    assert "equal, all bytes" in again.stdout


@pytest.mark.weights
def test_a_model_of_the_catalog(run: Run, tmp_path: Path) -> None:
    photo(tmp_path / "a.jpg")
    ok(run("denoise a.jpg --provenance"))
    text = ok(run("info a.denoised.jpg")).stdout
    assert re.search(r"denoise, sigma [\d.]+: denoise-\w+ in \w+ on cpu", text)
    line = "rerun a.denoised.jpg --from a.jpg"
    assert "equal, all bytes" in ok(run(line)).stdout
    refused(run(f"{line} --model denoise-photo"), 2, "the models are in the catalog")


@pytest.mark.parametrize(
    "task",
    [
        Denoise(12.5),
        Denoise(),
        Deblock(40.0),
        Deblock(30.0, (5, 13)),
        Sr(3.0),
        Sr(size=(120, 0)),
        Inpaint(box=((1, 2, 3, 4), (5, 6, 7, 8)), grow=3),
        Inpaint(detect="scratches"),
    ],
    ids=repr,
)
def test_options_become_text_and_back(task: Task) -> None:
    assert fill_task(find_task(task.name), "a test", task.given()) == task


# Hostile provenance


def first(values: dict[str, Any]) -> dict[str, Any]:
    step: dict[str, Any] = values["steps"][0]
    return step


@pytest.mark.parametrize(
    "change",
    [
        lambda values: values.update(surprise=1),
        lambda values: values.pop("version"),
        lambda values: values.update(version=["x"]),
        lambda values: values.update(input_sha256="../photo.png"),
        lambda values: values.update(steps={"task": "denoise"}),
        lambda values: values.update(steps=["denoise"]),
        lambda values: values.update(tile="auto"),
        lambda values: values.update(jpeg_quality=101),
        lambda values: first(values).update(given=["sigma=" + "9" * 5000]),
        lambda values: first(values).update(given=[["sigma"]]),
        lambda values: first(values).update(used={"sigma": {"a": 1}}),
        lambda values: first(values).update(strength=float("nan")),
        lambda values: first(values)["model"].update(path="/etc/passwd"),
        lambda values: first(values)["model"].update(sha256="https://localhost/x"),
    ],
)
def test_provenance_that_is_not_ours(
    restored: Run, tmp_path: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    with_run(tmp_path / "bad.png", change)
    result = ok(restored("info bad.png"))
    assert "warning: bad.png: The provenance in the metadata" in result.stderr
    refused(restored("rerun bad.png --from photo.png --model MODEL"), 1, "provenance")


@pytest.mark.parametrize("text", ["", "[]", "null", "[" * 99999, '{"version": 1e999}'])
def test_provenance_that_is_no_table(restored: Run, tmp_path: Path, text: str) -> None:
    with_packet(tmp_path / "bad.png", append_items(None, {RUNS: text}))
    assert ok(restored("info bad.png")).stderr.startswith("warning: bad.png: ")
    refused(restored("rerun bad.png --from photo.png"), 1, "provenance")


@pytest.mark.parametrize(
    ("change", "code", "word"),
    [
        (lambda values: first(values).update(task="../x"), 2, "Unknown task '../x'"),
        (lambda values: first(values).update(given=["found=1"]), 2, "Unknown option 'found'"),
        (lambda values: first(values).update(given=["sigma"]), 2, "expected KEY=VALUE"),
        (lambda values: first(values).update(given=["sigma=x"]), 2, "not a valid sigma"),
        (lambda values: first(values).update(task="sr"), 2, "Unknown option 'sigma' of sr"),
        (lambda values: values.update(tile=-5), 2, "expected a tile of None, 0, or"),
        (lambda values: values.update(tile=1), 2, "expected a tile of None, 0, or"),
        (lambda values: first(values)["runs"][0].update(precision="x"), 2, "precision 'x'"),
        (lambda values: first(values)["model"].update(name="/dev/zero"), 0, "equal"),
        (lambda values: first(values)["runs"][0].update(device="meta"), 0, "equal"),
        (lambda values: first(values).update(runs=[]), 0, "equal"),
    ],
)
def test_hostile_options(
    restored: Run,
    tmp_path: Path,
    change: Callable[[dict[str, Any]], object],
    code: int,
    word: str,
) -> None:
    with_run(tmp_path / "bad.png", change)
    ok(restored("info bad.png"))
    result = restored("rerun bad.png --from photo.png --model MODEL")
    if code:
        refused(result, code, word)
    else:
        assert word in ok(result).stdout


def test_the_recorded_command_is_one() -> None:
    step = PastStep("deblock", Deblock(40, (3, 5)).given(), {}, 1.0, PastModel("", "0" * 64), ())
    [parsed] = parse_chain(step.command).steps
    assert parsed.task == Deblock(40, (3, 5))
