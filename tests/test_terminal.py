"""What a terminal shows and a pipe does not, in a pseudoterminal."""

from __future__ import annotations

import io
import os
import re
import select
import subprocess
import sys
from base64 import b64decode
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from restore_cli.cli import app, preview
from restore_cli.cli.preview import Preview, to_kitty, to_sixel
from restore_cli.cli.summary import Summary
from restore_cli.report.record import Record

pty, termios = pytest.importorskip("pty"), pytest.importorskip("termios")
ROOT = Path(__file__).parents[1]


def in_terminal(
    words: Sequence[object], cwd: Path, answers: Mapping[bytes, bytes] | None = None
) -> tuple[int, bytes]:
    """Run `restore` in a terminal that answers queries; returns the exit code and its output."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "restore_cli", *map(str, words)]
    env = os.environ | {"PYTHONPATH": str(ROOT), "TERM": "xterm-256color", "COLUMNS": "100"}
    with subprocess.Popen(
        command,
        cwd=cwd,
        env=env,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: os.close(os.open(os.ttyname(0), os.O_RDWR)),  # make it controlling
    ) as process:
        os.close(theirs)
        shown, waiting = b"", dict(answers or {})
        while select.select([ours], [], [], 120)[0]:
            try:
                shown += os.read(ours, 2**16)
            except OSError:  # the end on Linux
                break
            for query in [query for query in waiting if query in shown]:
                os.write(ours, waiting.pop(query))
        os.close(ours)
    return process.returncode, shown.replace(b"\r\n", b"\n")


def photos(folder: Path, count: int) -> None:
    """Write photos with noise to in/ and without to clean/."""
    for name in ("in", "clean"):
        (folder / name).mkdir()
    for number in range(count):
        clean = np.full((32, 40, 3), 60 + 40 * number, np.uint8)
        noise = np.random.default_rng(number).normal(0, 12, clean.shape)
        Image.fromarray(clean).save(folder / f"clean/{number}.png")
        Image.fromarray((clean + noise).clip(0, 255).astype(np.uint8)).save(
            folder / f"in/{number}.png"
        )


def decode_kitty(shown: bytes) -> list[Image.Image]:
    """The pictures that a terminal draws."""
    found, data = [], b""
    for keys, chunk in re.findall(rb"\x1b_G([^;]+);([^\x1b]*)\x1b\\", shown):
        if keys.startswith(b"i=31"):  # the query
            continue
        assert len(chunk) <= 4096 and keys.startswith(b"m=" if data else b"a=T,f=100,q=2,")
        data += chunk
        if keys.endswith(b"m=0"):
            found.append(Image.open(io.BytesIO(b64decode(data))))
            data = b""
    return found


def test_folders_end_with_a_table(checkpoints: dict[int, Path], tmp_path: Path) -> None:
    photos(tmp_path, 3)
    (tmp_path / "in/broken.png").touch()
    words = ["denoise", "in", "-o", "out/", "--reference", "clean", "--model", checkpoints[3]]
    words += ["--report", "report.json"]  # for which the noise is measured
    answers = {b"\x1b[c": b"\x1b_Gi=31;OK\x1b\\\x1b[6;20;10t\x1b[?62;c"}
    code, shown = in_terminal([*words, "--preview"], tmp_path, answers)
    assert code == 1
    first, *others = decode_kitty(shown)
    assert first.size == (2 * 40 + 8, 32) and len(others) == 2  # none for the broken file
    for place, file in ((0, "in/0.png"), (48, "out/0.denoised.png")):
        with Image.open(tmp_path / file) as pane:
            assert first.crop((place, 0, place + 40, 32)).tobytes() == pane.tobytes()
    text = re.sub(r"\x1b\[[?\d;]*[A-Za-z]|\r", "\n", shown.decode())
    for line in (
        r"photos +3 done, 1 failed",
        r"time +\d+\.\d s, \S+ MP/s",
        r"noise +1\d\.\d -> 1\d\.\d, mean of 3 photos",
        r"PSNR in dB +26\.\d -> 26\.\d, mean of 3 photos",
        r"outputs +out",
    ):
        assert re.search(rf"^{line} *$", text, re.MULTILINE), text


@pytest.mark.parametrize(("more", "said"), [([], "2 done in "), (["--json"], "2 done in ")])
def test_pipes_keep_their_line(
    more: list[str],
    said: str,
    checkpoints: dict[int, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    photos(tmp_path, 2)
    words = ["denoise", "in", "-o", "out/", "--model", str(checkpoints[3]), *more]
    result = CliRunner().invoke(app, words)
    assert result.stderr.splitlines()[-1].startswith(said) and "outputs" not in result.stderr


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"\x1b_Gi=31;OK\x1b\\\x1b[6;36;18t\x1b[?62;4c", Preview(to_kitty, (36, 18))),
        (b"\x1b[6;36;18t\x1b[?62;4;22c", Preview(to_sixel, (36, 18))),
        (b"\x1b[?4c", Preview(to_sixel)),
        (b"\x1b_Gi=31;ENOTSUPPORTED\x1b\\\x1b[?62;22;44c", None),
        (b"", None),
    ],
)
def test_terminals_are_asked(
    answer: bytes, expected: Preview | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preview, "_SECONDS", 0.1 if not answer else 30)
    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    with ThreadPoolExecutor() as pool:
        found = pool.submit(preview.ask, theirs)
        assert os.read(ours, 100).endswith(b"\x1b[c")
        for start in range(0, len(answer), 5):  # comes in pieces
            os.write(ours, answer[start : start + 5])
        assert found.result() == expected
    assert termios.tcgetattr(theirs) == before
    os.close(ours)
    os.close(theirs)


def decode_sixel(text: str) -> Image.Image:
    """What a terminal draws."""
    size, body = re.fullmatch(r'\x1bPq"1;1;([\d;]+)(#.*)\x1b\\', text, re.DOTALL).groups()  # type: ignore[union-attr]
    wide, tall = map(int, size.split(";"))
    image, colors = Image.new("RGB", (wide, tall + 6)), {}
    x = y = color = 0
    for define, number, count, sixel, move in re.findall(
        r"#(\d+;2;\d+;\d+;\d+)|#(\d+)|(?:!(\d+))?([?-~])|([$-])", body
    ):
        if define:
            index, _, *shares = map(int, define.split(";"))
            colors[index] = tuple(round(share * 2.55) for share in shares)
        elif number:
            color = int(number)
        elif move:
            x, y = 0, y + 6 * (move == "-")
        else:
            end = x + int(count or 1)
            bits = [bit for bit in range(6) if (ord(sixel) - 63) >> bit & 1]
            for place in [(column, y + bit) for column in range(x, end) for bit in bits]:
                image.putpixel(place, colors[color])
            x = end
    return image.crop((0, 0, wide, tall))


def test_sixels_show_the_picture() -> None:
    gradient = Image.merge(
        "RGB", [Image.linear_gradient("L").rotate(90 * turn) for turn in range(3)]
    )
    image = gradient.resize((75, 52))  # the last band is not full
    drawn = decode_sixel(preview.to_sixel(image))
    assert drawn.size == image.size
    away = np.abs(np.asarray(drawn, float) - np.asarray(image, float))
    assert away.mean() < 6 and decode_sixel(preview.to_sixel(drawn)).size == drawn.size


def test_a_large_kitty_picture_comes_in_chunks() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (90, 80, 3), np.uint8)
    text = preview.to_kitty(Image.fromarray(noise))
    (image,) = decode_kitty(text.encode())
    assert text.count("\x1b_G") > 2 and np.array_equal(np.asarray(image), noise)


def test_a_preview_shows_the_middle_of_a_large_photo() -> None:
    before = np.zeros((100, 300, 1), np.float32)
    before[45:55, 145:155] = 1  # gray, missing pixels are black
    before[46, 146] = np.nan
    joined = np.asarray(preview.join(before, 1 - before, 20, 48))
    assert joined.shape == (20, 48, 3)
    assert joined[10, 10].tolist() == [255] * 3 and joined[10, 38].tolist() == [0] * 3
    assert joined[0, 0].tolist() == [0] * 3 and joined[0, 47].tolist() == [255] * 3


def test_a_preview_without_a_terminal_names_the_page(
    checkpoints: dict[int, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    photos(tmp_path, 2)
    words = ["denoise", "in/0.png", "-o", "-", "--preview", "--model", str(checkpoints[3])]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0 and result.stdout_bytes.startswith(b"\x89PNG")
    assert result.stderr.startswith("This terminal cannot show pictures. Use --compare page.html.")
    refused = CliRunner().invoke(app, ["denoise", "in", "--preview", "--jobs", "2"])
    assert refused.exit_code == 2 and "Cannot use --preview with several" in refused.stderr


def test_means_leave_out_what_is_unknown_or_infinite() -> None:
    summary = Summary()
    for input_psnr, psnr in (20.0, 30.0), (22.0, 33.0), (None, None), (25.0, float("inf")):
        summary.add(Record("a", "done", "x/a", input_psnr=input_psnr, psnr=psnr))
    for folder in "xyzuv":
        summary.add(Record("b", "done", f"{folder}/b"))
    summary.add(Record("c", "skipped", "other/c"))
    rows = dict(summary.rows(2.0, 5.0))
    assert rows == {
        "photos": "9 done, 1 skipped",
        "time": "2.0 s, 2.5 MP/s",
        "PSNR in dB": "21.0 -> 31.5, mean of 2 photos",
        "outputs": "x, y, z and 2 other folders",
    }
