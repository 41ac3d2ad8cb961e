"""The help of the commands, and their errors for invalid arguments."""

from __future__ import annotations

import json
import os
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

import restore_cli
from restore_cli import cli
from restore_cli.bench.suites import suites
from restore_cli.cli import app
from restore_cli.cli.display import describe
from restore_cli.cli.help import topics
from restore_cli.cli.values import parse_strength
from restore_cli.errors import ExitCode, UsageError
from restore_cli.image import FORMATS
from restore_cli.models import catalog, store
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


def test_every_task_has_a_bundled_default() -> None:
    defaults = [entry for entry in catalog.entries().values() if entry.default]
    bundled = {entry.task for entry in defaults if isinstance(entry.source, catalog.Bundled)}
    assert bundled >= set(TASKS)


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


def test_the_overview_groups_the_commands() -> None:
    """It shows the first line of each command's help without importing the command."""
    summaries = {words[0]: command.help for words, command in COMMANDS.items() if len(words) == 1}
    assert list(summaries) == [name for group in cli.PANELS.values() for name in group]
    assert set(TASKS) <= set(summaries)
    overview = read_help()
    for panel, group in cli.PANELS.items():
        shown = overview.partition(f"─ {panel} ─")[2].partition("╰")[0]
        for name, summary in group.items():
            first = " ".join(summaries[name].partition("\n\n")[0].split())
            assert first.startswith(summary.rstrip("."))
            assert f"{name} {first}" in shown


def parse(line: str) -> Any:
    """Parse a command line without running it; returns the context of the command."""
    words = shlex.split(line, comments=True)
    end = next((place for place, word in enumerate(words) if word in "<>|"), len(words))
    context = typer.main.get_command(app).make_context("restore", words[1:end])
    while hasattr(context.command, "resolve_command"):
        rest = [*context._protected_args, *context.args]
        name, command, more = context.command.resolve_command(context, rest)
        context = command.make_context(name, more, parent=context)
    return context


@pytest.mark.parametrize(("words", "command"), COMMANDS.items(), ids=map(" ".join, COMMANDS))
def test_every_command_has_examples_that_parse(words: tuple[str, ...], command: Any) -> None:
    head, *lines = (command.epilog or "").partition("\n\n")[0].splitlines()
    assert head == "Examples:" and lines
    for line in lines:
        assert line.startswith(" ".join(["restore", *words]))
        parse(line)


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


def test_help_suggests_topics() -> None:
    for word, hint in (("choosing-model", "Did you mean choosing-models?"), ("xyz", "Topics are ")):
        result = CliRunner().invoke(app, ["help", word])
        assert result.exit_code == 2 and hint in result.stderr


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
    assert result.stderr.startswith("standard input -> standard output  sigma 5  0.066 MP in ")


def test_photos_that_stay_as_they_are_say_so(checkpoints: dict[int, Path], tmp_path: Path) -> None:
    Image.linear_gradient("L").save(tmp_path / "a.png")
    words = ["denoise", str(tmp_path / "a.png"), "--strength", "0", "--model", str(checkpoints[1])]
    assert "  left unchanged  0.066 MP in " in CliRunner().invoke(app, words).stderr


@pytest.mark.parametrize(("before", "said"), [(0.4, False), (12.0, True)])
def test_noise_that_is_left_is_named_where_there_was_some(before: float, said: bool) -> None:
    record = Record("a", "done", "b", "denoise", "house", noise_before=before, noise_after=0.8)
    assert ("noise left 0.8" in describe(record)) == said


def complete(words: str) -> list[str]:
    """What the Tab key offers after these words, by the protocol of bash."""
    environment = {
        "_RESTORE_COMPLETE": "complete_bash",
        "COMP_WORDS": f"restore {words}",
        "COMP_CWORD": str(words.count(" ") + 1),
    }
    return CliRunner().invoke(app, [], prog_name="restore", env=environment).stdout.split()


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
        ("bench denoise --model default,drunet-c", "default,drunet-color"),
        ("bench sr --metric ", "niqe"),
        ("bench suite ", "papers"),
        ("models list --task ", "derain"),
        ("models show drunet-c", "drunet-color"),
        ("models fetch drunet-c", "drunet-color"),
        ("train rednet/", "rednet/denoise-30"),
        ("train --task ", "deblur"),
        ("train --arch un", "unet:UNet"),
        ("train --precision ", "fp32"),
        ("denoise --device cuda:0,c", "cuda:0,cpu"),
        ("compare a.png --models denoise-photo,deblock-c", "denoise-photo,deblock-color"),
        ("study ", "xunit-filter"),
        ("help mod", "models"),
    ],
)
def test_values_are_completed(words: str, offered: str) -> None:
    assert offered in complete(words)


def test_only_what_fits_the_task_is_completed() -> None:
    entries = catalog.entries().values()
    fitting = {name for entry in entries if entry.task == "sr" for name in entry.names}
    for words in (
        "sr --model ",
        "bench sr --model ",
        "train --task sr --init ",
        "compare a.png --task sr --models ",
    ):
        assert set(complete(words)) == {*fitting, "default"}
    assert set(complete("models show ")) > {*fitting, "denoise-photo"}
    assert "ddn_10" in complete("bench derain ") and "ddn_10" not in complete("bench denoise ")
    assert complete("bench suite ") == list(suites())
    licensed = complete("sr --accept-license ")
    assert licensed and all(catalog.entries()[name].terms for name in licensed)


def test_models_that_can_be_removed_are_completed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESTORE_CACHE", str(tmp_path))
    assert complete("models remove d") == [] and "drunet-color" in complete("models add d")
    path = store.path_of(catalog.entries()["drunet-color"])
    path.parent.mkdir()
    path.touch()
    assert complete("models remove d") == ["drunet-color"]
    path.rename(part := path.with_name(f"{path.name}.part"))
    store.remove(catalog.entries()["drunet-color"])
    assert not part.exists()


def test_bash_completes(tmp_path: Path) -> None:
    """The script that --install-completion installs, in a real shell."""
    program = tmp_path / "restore"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m restore_cli "$@"\n')
    program.chmod(0o755)
    code = (
        'eval "$(_RESTORE_COMPLETE=source_bash restore)"; complete -p restore >&2;'
        " COMP_WORDS=(restore denoise --model denoise-p); COMP_CWORD=3;"
        ' _restore_completion restore; echo "${COMPREPLY[@]}"'
    )
    answer = subprocess.run(
        ["bash", "-c", code],
        env=os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        cwd=SCRIPT.parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.stdout == "denoise-photo\n", answer.stderr
    assert answer.stderr == "complete -o default -F _restore_completion restore\n"  # or files


def test_completion_does_not_wait_for_torch() -> None:
    code = """
import os, sys
from restore_cli.cli import app
for words in sys.argv[1:]:
    os.environ |= {"COMP_WORDS": "restore " + words, "COMP_CWORD": str(words.count(" ") + 1)}
    try:
        app(prog_name="restore")
    except SystemExit:
        print(flush=True)
sys.exit(" ".join({"torch", "scipy", "skimage", "cv2", "jinja2"} & {*sys.modules}) or 0)
"""
    words = ["den", "sr --model ", "bench sr ", "bench suite ", "train --arch ", "study x"]
    answer = subprocess.run(
        [sys.executable, "-c", code, *words],
        env=os.environ | {"_RESTORE_COMPLETE": "complete_bash"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (answer.returncode, answer.stderr) == (0, "")
    assert {"denoise", "set5", "papers", "unet:UNet"} <= set(answer.stdout.split())


@pytest.mark.parametrize("words", [[], ["denoise"], ["models"], ["bench", "sr"]])
def test_help_is_a_command_too(words: list[str]) -> None:
    result = CliRunner().invoke(app, ["help", *words])
    assert result.exit_code == 0
    assert result.stdout == CliRunner().invoke(app, [*words, "--help"]).stdout


@pytest.mark.parametrize("topic", topics())
def test_topics_have_examples_that_parse(topic: str) -> None:
    result = CliRunner().invoke(app, ["help", topic])
    assert result.exit_code == 0
    title, blank, *lines = result.stdout.splitlines()
    assert title.lower().startswith(topic.replace("-", " ") + ": ") and not blank
    assert max(map(len, lines)) <= 88
    found = [line for line in lines if line.startswith("  restore ")]
    assert found
    for line in found:
        parse(line)


def test_the_overview_lists_the_topics() -> None:
    assert f"Topics of `restore help`: {', '.join(topics())}." in read_help()
    assert set(topics()).isdisjoint(name for group in cli.PANELS.values() for name in group)
    assert "exit-codes" in complete("help ex")


def test_topics_are_complete() -> None:
    def read(topic: str) -> str:
        return CliRunner().invoke(app, ["help", topic]).stdout

    assert all(name.lower() in read("formats").lower() for name in FORMATS)
    assert all(re.search(rf"^ +{code:d}  ", read("exit-codes"), re.MULTILINE) for code in ExitCode)
    package = Path(restore_cli.__file__).parent
    sources = "".join(path.read_text(encoding="utf-8") for path in package.rglob("*.py"))
    variables = set(re.findall(r"""environ\.get\(\s*"((?:RESTORE|HF)_\w+)""", sources))
    assert {"RESTORE_CACHE", "HF_ENDPOINT"} <= variables
    assert all(f"  {name} " in read("environment") for name in variables)


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
