"""The code blocks in README.md, docs/ and the package docstring are valid, or run."""

from __future__ import annotations

import re
import shlex
import subprocess
import textwrap
from pathlib import Path

import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

import restore_cli
from restore_cli.cli import LazyCommand, app
from restore_cli.image import read_picture

ROOT = Path(__file__).parents[1]
DOCS = sorted({*(ROOT / "docs").glob("*.md")} - {ROOT / "docs" / "cli.md"})  # of what help prints
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS]


def blocks(page: Path) -> list[tuple[str, str]]:
    """The code blocks of a page: language and text."""
    text = page.read_text(encoding="utf-8")
    found = re.findall(r"^```(\w*)[^\n]*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert text.count("\n```") == 2 * len(found), page
    return found


def lines(block: str) -> list[str]:
    """The commands of a shell block, one per line, without comments."""
    whole = block.replace("\\\n", " ").splitlines()
    return [line for line in whole if line.strip() and not line.startswith("#")]


def programs(line: str) -> list[list[str]]:
    """The programs of a command line with their arguments and redirections."""
    words = shlex.shlex(line, posix=True, punctuation_chars="|&>")
    words.whitespace_split = True
    found: list[list[str]] = [[]]
    for word in words:
        if word in ("|", "&&"):
            found.append([])
        else:
            found[-1].append(word)
    return found


SHELL = [
    line for page in PAGES for kind, block in blocks(page) if kind == "sh" for line in lines(block)
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_code_blocks_have_a_tested_language(page: Path) -> None:
    assert {kind for kind, _ in blocks(page)} <= {"sh", "python", "toml", "yaml"}


@pytest.mark.parametrize("line", SHELL)
def test_commands_are_valid(line: str) -> None:
    for program, *words in programs(line):
        if program == "torchrun":
            program, words = "restore", words[words.index("restore_cli") + 1 :]
        if program.startswith("python") and words[0].endswith(".py"):
            assert (ROOT / words[0]).is_file()
        if Path(program).name != "restore":
            continue
        words = words[: words.index(">")] if ">" in words else words
        command = typer.main.get_command(app)
        while commands := getattr(command, "commands", None):
            # `restore bench sets` is a command of a group, `restore bench` of its own, too
            if words[0] not in commands:
                break
            command, words = commands[words[0]], words[1:]
            command = command.load() if isinstance(command, LazyCommand) else command
        command.make_context("restore", words)  # raises for unknown arguments


def python_examples() -> list[str]:
    doc = (restore_cli.__doc__ or "").partition("from Python:\n\n")[2].partition("\n\nNames")[0]
    return [textwrap.dedent(doc), *(text for kind, text in blocks(PAGES[0]) if kind == "python")]


@pytest.mark.weights
@pytest.mark.parametrize("example", python_examples())
def test_python_examples_run(example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    draw("photo.jpg")
    exec(compile(example, "example", "exec"), {})
    (written,) = tmp_path.glob("clean.*")
    assert read_picture(written).pixels.shape == (40, 48, 3)


def draw(*names: str) -> None:
    """Photos of these names; a mask is white in the middle, an original the largest."""
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        picture = Image.radial_gradient("L").resize((48, 40))
        if "mask" in name:
            picture = picture.point(lambda value: 255 * (value < 60))
        picture.convert("RGB").save(name)


@pytest.mark.weights
def test_readme_commands_run_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RESTORE_CACHE", str(tmp_path / "cache"))
    draw("photo.jpg", "scans/a.jpg", "scans/deep/b.png", "c.tif", "huge.tif")
    draw("noisy.png", "clean.png")
    draw("mask.png", "default.png", "drunet.png", "original.png", "photos/d.jpg", "photos/e.png")
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    part = text[text.index("\n## Denoise") : text.index("\n## Models")]
    commands = [
        line
        for block in re.findall("^```sh\n(.*?)^```$", part, re.M | re.S)
        for line in lines(block)
    ]
    assert len(commands) > 10
    for line in commands:
        given = b""
        for program, *words in programs(line):
            if program != "restore":
                given = subprocess.run(
                    [program, *words], input=given, capture_output=True, check=True
                ).stdout
                continue
            target = words[words.index(">") + 1] if ">" in words else None
            result = CliRunner().invoke(app, words[:-2] if target else words, input=given)
            assert result.exit_code == 0, f"{line}\n{result.stderr}"
            if target:
                Path(target).write_bytes(result.stdout_bytes)
    assert read_picture(Path("clean.jpg")).pixels.shape == (40, 48, 3)
