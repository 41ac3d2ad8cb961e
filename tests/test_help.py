"""The help of the commands, and their errors for invalid arguments."""

from __future__ import annotations

import json
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

import restore_cli
from restore_cli import cli
from restore_cli.cli import app
from restore_cli.cli.display import describe
from restore_cli.cli.values import parse_strength
from restore_cli.errors import UsageError
from restore_cli.models import catalog
from restore_cli.report.record import Record
from restore_cli.tasks import TASKS

SCRIPT = Path(__file__).parents[1] / "scripts" / "cli_page.py"
COMMANDS = dict(runpy.run_path(str(SCRIPT))["commands"]())  # by the names that lead to them


def read_help(*words: str, width: int = 400) -> str:
    """The help of a command without panels and line ends."""
    result = CliRunner().invoke(
        app, [*words, "--help"], env={"COLUMNS": str(width), "TERMINAL_WIDTH": str(width)}
    )
    assert result.exit_code == 0
    return " ".join(result.stdout.replace("│", " ").split())


def test_tasks_without_a_bundled_model_say_so() -> None:
    served = {
        entry.task
        for entry in catalog.entries().values()
        if isinstance(entry.source, catalog.Bundled)
    }
    assert served
    overview = read_help()
    for task in TASKS:
        text = read_help(task)
        named = re.search(r"\(no model is bundled; --model (\S+) downloads one\)", text)
        assert bool(named) == (task not in served)
        if named:
            assert f"restore {task} photo.jpg --model {named[1]}" in text
            assert isinstance(catalog.choose(named[1], task, 3), catalog.Entry)
    assert overview.count("no model is bundled") == len(set(TASKS) - served)


@pytest.mark.parametrize(("words", "command"), COMMANDS.items(), ids=map(" ".join, COMMANDS))
def test_help_loses_nothing(words: tuple[str, ...], command: Any) -> None:
    """Rich takes [words] for markup, unless they are escaped."""
    text = read_help(*words)
    said = [item.help or "" for item in command.params]
    said += f"{command.help}\n\n{command.epilog or ''}".split("\n\n")
    for part in said:
        assert " ".join(part.replace("\\[", "[").split()) in text
    assert "[[" not in text and "]]" not in text and "\\[" not in text


@pytest.mark.parametrize("task", TASKS)
def test_help_of_tasks(task: str) -> None:
    text = read_help(task)
    assert (
        not re.search(r"\[default: (\(|nothing|by )", text) and text.count("<bool>") == 1
    )  # typer's own --help
    assert f"restore {task} photo.jpg" in text and "Exit codes: 0" in text


def test_the_summary_of_a_command_is_the_first_line_of_its_help() -> None:
    """The overview shows the summary without importing the command."""
    summaries = {words[0]: command.help for words, command in COMMANDS.items() if len(words) == 1}
    assert list(summaries) == list(cli.COMMANDS) and set(TASKS) <= set(summaries)
    overview = read_help()
    for name, text in summaries.items():
        first = " ".join(text.partition("\n\n")[0].split())
        assert first.startswith(cli.COMMANDS[name].rstrip("."))
        assert f"{name} {first}" in overview


def test_help_has_no_words_of_programs() -> None:
    for words in COMMANDS:
        text = read_help(*words)
        assert text.count("<bool>") == (1 if words else 3)  # typer's own: --help and completion
        assert "FILE.html|" not in text
    assert "on the 0..255 scale; by default 15, 25, 50." in read_help("bench", "denoise")


def test_help_imports_nothing_slow() -> None:
    code = "import sys; from restore_cli.cli import app\ntry: app(['--help'])\n"
    code += (
        "finally: sys.exit(' '.join({'numpy', 'torch', 'jinja2', 'scipy'} & {*sys.modules}) or 0)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert (answer.returncode, answer.stderr) == (0, "") and "denoise" in answer.stdout


def test_help_says_what_a_mask_is() -> None:
    assert "white areas are filled in" in read_help("inpaint")
    assert "white areas are restored" in read_help("denoise")


@pytest.mark.parametrize(("word", "share"), [("0.5", 0.5), ("50%", 0.5), ("0", 0), ("100%", 1)])
def test_strength(word: str, share: float) -> None:
    assert parse_strength(word) == share


@pytest.mark.parametrize("word", ["50", "-1", "101%", "half", "nan", ""])
def test_invalid_strengths(word: str) -> None:
    with pytest.raises(UsageError, match=r"is not a valid strength; expected a number from 0 to 1"):
        parse_strength(word)


def test_invalid_option_values(
    checkpoints: dict[int, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.linear_gradient("L").save("a.png")
    Image.linear_gradient("L").save("b.csv", "PNG")
    words = ["denoise", "a.png", "b.csv", "--model", str(checkpoints[1])]
    for more, said in (
        (["--tile", "8"], "Cannot use tiles of 8 pixels"),
        (["--strength", "50"], "'50' is not a valid strength"),
        (["--report", "b.csv", "--overwrite"], "Cannot write b.csv: it is an input"),
    ):
        result = CliRunner().invoke(app, [*words, *more])
        assert result.exit_code == 2
        assert result.stderr.startswith(f"error: {said}") and result.stderr.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.csv"]


def test_every_report_is_written(
    checkpoints: dict[int, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.linear_gradient("L").save("a.png")
    words = ["denoise", "a.png", "--strength", "50%", "--model", str(checkpoints[1])]
    result = CliRunner().invoke(app, [*words, "--report", "r.csv", "--report", "r.jsonl"])
    assert result.exit_code == 0, result.stderr
    assert Path("r.csv").read_text().startswith("input,")
    assert json.loads(Path("r.jsonl").read_text())["options"]["strength"] == 0.5


def test_streams_have_names(checkpoints: dict[int, Path], tmp_path: Path) -> None:
    Image.linear_gradient("L").save(tmp_path / "a.png")
    words = ["denoise", "-", "--sigma", "5", "--model", str(checkpoints[1])]
    result = CliRunner().invoke(app, words, input=(tmp_path / "a.png").read_bytes())
    assert result.stderr.startswith("standard input -> standard output  sigma 5.0  0.066 MP in ")


def test_photos_that_stay_as_they_are_say_so(checkpoints: dict[int, Path], tmp_path: Path) -> None:
    Image.linear_gradient("L").save(tmp_path / "a.png")
    words = ["denoise", str(tmp_path / "a.png"), "--strength", "0", "--model", str(checkpoints[1])]
    assert "  left unchanged  0.066 MP in " in CliRunner().invoke(app, words).stderr


@pytest.mark.parametrize(("before", "said"), [(0.4, False), (12.0, True)])
def test_noise_that_is_left_is_named_where_there_was_some(before: float, said: bool) -> None:
    record = Record("a", "done", "b", "denoise", "house", noise_before=before, noise_after=0.8)
    assert ("noise left 0.8" in describe(record)) == said


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("denoise --format ", "webp"),
        ("denoise --device ", "cuda"),
        ("denoise --precision b", "bf16"),
        ("denoise --model deno", "denoise-color"),
        ("denoise --sigma ", "auto"),
        ("inpaint --detect ", "scratches"),
        ("bench denoise set", "set12"),
        ("bench denoise --peer nlm,b", "nlm,bm3d"),
        ("bench denoise --model house,drunet-c", "house,drunet-color"),
        ("bench sr --metric ", "niqe"),
        ("bench suite ", "papers"),
        ("bench --suite ", "bundled"),
        ("models list --task ", "derain"),
        ("models show drunet-c", "drunet-color"),
        ("models fetch drunet-c", "drunet-color"),
        ("train rednet/", "rednet/denoise-30"),
        ("train --task ", "deblur"),
        ("train --arch un", "unet:UNet"),
        ("train --precision ", "fp32"),
        ("study ", "xunit-filter"),
        ("help mod", "models"),
    ],
)
def test_values_are_completed(words: str, offered: str) -> None:
    environment = {
        "_RESTORE_COMPLETE": "complete_bash",
        "COMP_WORDS": f"restore {words}",
        "COMP_CWORD": str(words.count(" ") + 1),
    }
    result = CliRunner().invoke(app, [], prog_name="restore", env=environment)
    assert offered in result.stdout.split()


def test_completion_does_not_wait_for_torch() -> None:
    words = {"COMP_WORDS": "restore train --arch ", "COMP_CWORD": "3"}
    code = "import sys; from restore_cli.cli import app\ntry: app(prog_name='restore')\n"
    code += "finally: assert 'torch' not in sys.modules"
    answer = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | words | {"_RESTORE_COMPLETE": "complete_bash"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (answer.returncode, answer.stderr) == (0, "") and "unet:UNet" in answer.stdout


@pytest.mark.parametrize("words", [[], ["denoise"], ["models"], ["bench", "sr"]])
def test_help_is_a_command_too(words: list[str]) -> None:
    result = CliRunner().invoke(app, ["help", *words])
    assert result.exit_code == 0
    assert result.stdout == CliRunner().invoke(app, [*words, "--help"]).stdout


def test_help_of_no_command_is_refused() -> None:
    result = CliRunner().invoke(app, ["help", "denoize"])
    assert result.exit_code == 2 and "'denoize'" in result.stderr and "denoise" in result.stderr


def test_version_is_a_command_too() -> None:
    for words in ["version"], ["--version"], ["-V"]:
        assert CliRunner().invoke(app, words).stdout == f"restore {restore_cli.__version__}\n"


def test_networks_are_listed() -> None:
    """Each class of archs/ with its parameters, and no other."""
    result = CliRunner().invoke(app, ["train", "--list-archs"])
    assert result.exit_code == 0, result.stderr
    listed = [line.split()[0] for line in result.stdout.splitlines() if not line.startswith(" ")]
    assert set(listed) >= {
        entry.arch for entry in catalog.entries().values() if not entry.by_spandrel
    }
    assert not any(arch.startswith(("community:", "onnx:")) for arch in listed)
    assert listed == sorted(set(listed)) and "unet:UNet" in listed
    assert "width=64" in result.stdout.partition("rednet:REDNet")[2].partition("\nrrdb")[0]
