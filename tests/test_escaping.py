"""Names of files and texts of checkpoints are strangers' words: what is made of them."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from restore_cli.cli import app, bench_display, display
from restore_cli.cli.progress import show_progress
from restore_cli.models import checkpoint
from restore_cli.models.header import Header
from restore_cli.models.scores import Protocol, Score
from restore_cli.report.batch_report import write_report
from restore_cli.report.bench_report import write_bench_report
from restore_cli.report.figures import PSNR, WORST
from restore_cli.report.record import Record
from restore_cli.report.row import Origin, Row

STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]")
ATTACKS = [
    "\x1b]0;owned\x07a.png",
    "\x9b31ma.png",
    "a\u202egnp.exe",
    "a.png\nerror: call 555-1234",
    "a\rb.png",
    "[red]a[/red].png",
    ":smiley: a.png",
]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What would be shown; both consoles are made believe that they are terminals without
    colors.
    """
    shown = io.StringIO()
    for module, name in ((display, "stdout"), (display, "stderr"), (bench_display, "stdout")):
        console = Console(file=shown, force_terminal=True, color_system=None, width=200)
        monkeypatch.setattr(module, name, console)
    return shown


def plain(text: str) -> str:
    """An attack as it may be seen."""
    return text.replace("\n", "\\u000a").translate(
        {code: f"\\u{code:04x}" for code in (7, 13, 27, 155, 0x202E)}
    )


@pytest.mark.parametrize("name", ATTACKS)
def test_names_in_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name.replace("/", "")).write_text("no picture")
    result = CliRunner().invoke(app, ["denoise", name.replace("/", ""), "--sigma", "9"])
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1 and not STEERING.search(result.stderr)
    assert plain(name.replace("/", "")) in result.stderr


@pytest.mark.parametrize("text", ATTACKS)
def test_results_notes_and_progress_on_a_terminal(terminal: io.StringIO, text: str) -> None:
    display.print_warning(text)
    display.print_error(text)
    assert terminal.getvalue().splitlines() == [f"warning: {plain(text)}", f"error: {plain(text)}"]
    display.print_result(text)
    with show_progress("x") as bar:
        bar.update(1, 2, text)
    drawn = re.sub("\x1b\\[[0-9?]*[A-Za-z]|\r", "", terminal.getvalue())  # of the bar itself
    assert not STEERING.search(drawn)
    assert drawn.count("call 555-1234") == drawn.count("\\u000aerror: call") + ("call" in text)


def test_notes_on_a_terminal_end_their_lines_between_words(
    terminal: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(display.stderr, "width", 40)
    path = "folder/" * 8 + "a.png"  # stays whole, to be copied
    display.print_note(f"{path} -> b.png  sigma 12.1 (estimated)  1.2 MP in 0.8 s, 1.5 MP/s")
    first, *others = (line.rstrip() for line in terminal.getvalue().splitlines())
    assert first == path and len(others) == 2 and max(map(len, others)) <= 40
    assert others[-1].endswith("1.5 MP/s")


def test_notes_in_a_pipe_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    display.print_note("word " * 50)
    assert capsys.readouterr().err == "word " * 50 + "\n"


def test_results_in_a_pipe_are_exact(capsys: pytest.CaptureFixture[str]) -> None:
    display.print_result("\x1b[31m[red]x")
    assert capsys.readouterr().out == "\x1b[31m[red]x\n"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_json_is_valid_in_any_encoding(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    console = Console(file=io.TextIOWrapper(raw, encoding, newline="\n"))
    monkeypatch.setattr(display, "stdout", console)
    name = "ünï 😀 \udcff.png"
    display.print_result(json.dumps({"input": name}, ensure_ascii=False))
    console.file.flush()
    assert json.loads(raw.getvalue().decode(encoding)) == {"input": name}


@pytest.mark.parametrize("text", ATTACKS)
def test_texts_of_a_checkpoint(tmp_path: Path, checkpoints: dict[int, Path], text: str) -> None:
    loaded = checkpoint.load(checkpoints[1])
    known = loaded.header
    score = Score(text, Protocol(text), 1.0, levels={text: text})
    header = Header(
        task=text,
        arch=known.arch,
        params=known.params,
        channels=1,
        conditions={text: text},
        recipe={text: [text]},
        scores=(score,),
        data=text,
        commit=text,
    )
    path = tmp_path / "x.safetensors"
    checkpoint.save(loaded.network, path, header)
    sheet = CliRunner().invoke(app, ["models", "show", str(path)])
    assert sheet.exit_code == 0 and not STEERING.search(sheet.stdout)
    for mark in re.findall(r"\[/?red\]|:smiley:", text):
        assert mark in sheet.stdout
    for fact in ("task", "data", "commit"):  # and no text makes lines that look like ours
        assert re.search(rf"^{fact} +{re.escape(plain(text))} *$", sheet.stdout, re.MULTILINE)
    record = CliRunner().invoke(app, ["models", "show", str(path), "--json"])
    assert not STEERING.search(record.stdout)
    assert json.loads(record.stdout)[0]["task"] == text
    refused = CliRunner().invoke(app, ["denoise", str(path), "--model", str(path), "--sigma", "9"])
    assert refused.exit_code != 0 and not STEERING.search(refused.stderr)


FORMULAS = ["=cmd|' /C calc'!A0", "+1+1", "@SUM(A1)", "-2+3", "\t=1", "\r=1", "＝1"]
LINKS = [
    "![x](http://a.b/c)",
    "[x](javascript:alert)",
    "<img src=x onerror=y>",
    "a|b",
    "a\nb",
    "`x",
    "\\|",
]


def row(text: str) -> Row:
    words = dict.fromkeys(("task", "set", "model", "protocol", "note", "about"), text)
    figures = {PSNR: -3.5, WORST: 1.0}
    return Row(**words, level={text: True}, measured=True, figures=figures, images={text: 1.0})


def report(text: str, path: Path) -> None:
    options: dict[str, float | str] = {text: text}
    record = Record(
        text,
        "done",
        text,
        task=text,
        model=text,
        options=options,
        psnr=-3.5,
        warnings=(text,),
        error=text,
    )
    write_report([record, Record("-", "done", "-")], path)


def origin(text: str) -> Origin:
    words = dict.fromkeys(
        ("version", "command", "date", "machine", "device", "torch", "precision"), text
    )
    return Origin(**words, threads=1)


def bench(text: str, path: Path) -> None:
    write_bench_report(path, text, [row(text), row("plain")], origin(text))


writers = pytest.mark.parametrize("write", [report, bench])
Write = Callable[[str, Path], None]


@writers
@pytest.mark.parametrize("text", FORMULAS)
def test_no_cell_is_a_formula(tmp_path: Path, write: Write, text: str) -> None:
    write(text, tmp_path / "x.csv")
    head, first, second = csv.reader(io.StringIO((tmp_path / "x.csv").read_text(), newline=""))
    cells = dict(zip(head, first, strict=True))
    for key, cell in cells.items():
        assert not cell.startswith(tuple("=+-@\t\r\n＝")) or key.lower() == "psnr", (key, cell)
    assert cells["model"] == ("\\u000d=1" if text == "\r=1" else f"'{text}")
    assert [value for key, value in cells.items() if key.lower() == "psnr"] == ["-3.5"]
    assert second[0] in ("-", "plain")


@writers
@pytest.mark.parametrize("text", [*LINKS, *ATTACKS])
def test_no_markdown_leaves_its_cell(tmp_path: Path, write: Write, text: str) -> None:
    write(text, tmp_path / "hostile.md")
    write("plain", tmp_path / "plain.md")
    hostile, harmless = ((tmp_path / name).read_text() for name in ("hostile.md", "plain.md"))
    assert not STEERING.search(hostile)
    table = [line for line in hostile.splitlines() if line.startswith("|")]
    assert (
        len(table)
        == sum(line.startswith("|") for line in harmless.splitlines()) + (write is bench) * 2
    )
    columns = {len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) for line in table}
    assert len(columns) == 1
    assert not re.search(r"(?<!\\)[\[<`]", "".join(table))


@pytest.mark.parametrize("text", ATTACKS)
def test_tables_on_a_terminal(terminal: io.StringIO, text: str) -> None:
    bench_display.print_tables([row(text)], origin(text))
    assert not STEERING.search(terminal.getvalue())
    for mark in re.findall(r"\[/?red\]|:smiley:", text):
        assert terminal.getvalue().count(mark) >= 5
