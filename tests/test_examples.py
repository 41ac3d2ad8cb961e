"""The code blocks in README.md, docs/ and the package docstring run, or are valid.

The words after ``` say how a block of commands is tested: without words, its commands run in the
order of the page; those of `sh parse-only` are only parsed, because they need data, a network, or a
key to end. `sh first` and `sh second` of README.md are what .ci/run runs.
"""

from __future__ import annotations

import contextlib
import re
import runpy
import shlex
import subprocess
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

import restore_cli
from restore_cli.cli import LazyCommand, app
from restore_cli.image import read_picture

ROOT = Path(__file__).parents[1]
DOCS = sorted({*(ROOT / "docs").glob("*.md")} - {ROOT / "docs" / "cli.md"})  # of what help prints
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *DOCS]
PARSED = {"parse-only", "first", "second"}  # how blocks are marked that this file does not run
PHOTOS = [
    *("photo.jpg", "small.jpg", "download.jpg", "scan.png", "noisy.png", "clean.png", "mask.png"),
    *("default.png", "drunet.png", "original.png", "huge.tif", "c.tif", "scans/a.jpg"),
    *("scans/deep/b.png", "photos/d.jpg", "photos/e.png", "archive/f.jpg", "archive/deep/g.png"),
    "negatives/h.tif",
]


class Block(NamedTuple):
    """A code block: its language, how it is marked, and its text."""

    kind: str
    mark: str
    text: str


def blocks(page: Path) -> list[Block]:
    """The code blocks of a page."""
    text = page.read_text(encoding="utf-8")
    found = re.findall(r"^```(\w*) ?([^\n]*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert text.count("\n```") == 2 * len(found), page
    return [Block(*parts) for parts in found]


def lines(block: str) -> list[str]:
    """The commands of a shell block, one per line, without comments."""
    whole = block.replace("\\\n", " ").splitlines()
    return [line for line in whole if line.strip() and not line.startswith("#")]


def programs(line: str) -> list[list[str]]:
    """The programs of a command line with their arguments and redirections."""
    words = shlex.shlex(line, posix=True, punctuation_chars="|&<>")
    words.whitespace_split = True
    found: list[list[str]] = [[]]
    for word in words:
        if word in ("|", "&&"):
            found.append([])
        else:
            found[-1].append(word)
    return found


def redirected(words: list[str], sign: str) -> tuple[list[str], str | None]:
    """The words without a redirection by < or >, and the file that it names."""
    if sign not in words:
        return words, None
    at = words.index(sign)
    return words[:at] + words[at + 2 :], words[at + 1]


def shell(page: Path, marks: set[str]) -> list[str]:
    """The command lines of a page in blocks that are so marked."""
    found = [block for block in blocks(page) if block.kind == "sh" and block.mark in marks]
    return [line for block in found for line in lines(block.text)]


def find_command(words: list[str]) -> tuple[Any, list[str]]:
    """The command that the first words after `restore` name, and the other words."""
    command: Any = typer.main.get_command(app)
    while commands := getattr(command, "commands", None):
        # `restore bench sets` is a command of a group, `restore bench` of its own, too
        if not words or words[0] not in commands:
            break
        command, words = commands[words[0]], words[1:]
        command = command.load() if isinstance(command, LazyCommand) else command
    return command, words


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_code_blocks_are_of_a_tested_kind(page: Path) -> None:
    for block in blocks(page):
        assert block.kind in ("sh", "python", "text", "toml", "yaml")  # text is what is printed
        assert block.mark in (PARSED | {""} if block.kind == "sh" else {""})
    assert not re.search("^(    |\t)restore ", page.read_text(encoding="utf-8"), re.MULTILINE)


SHELL = [line for page in PAGES for line in shell(page, PARSED | {""})]


@pytest.mark.parametrize("line", SHELL)
def test_commands_are_valid(line: str) -> None:
    for program, *words in programs(line):
        if program == "torchrun":
            program, words = "restore", words[words.index("restore_cli") + 1 :]
        if program.startswith("python") and words[0].endswith(".py"):
            assert (ROOT / words[0]).is_file()
        if Path(program).name != "restore":
            continue
        words = redirected(redirected(words, "<")[0], ">")[0]
        command, words = find_command(words)
        with contextlib.suppress(typer.Exit):  # by --version
            command.make_context("restore", words)  # raises for unknown arguments


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_in_the_text_have_their_options(page: Path) -> None:
    """`restore models verify --data`, as part of a sentence."""
    text = re.sub("^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    for words in re.findall(r"`restore ([^`]*)`", text):
        command, rest = find_command(shlex.split(words))
        assert command.name or words.startswith("--"), words
        known = {name for option in command.params for name in option.opts} | {"--help", "-h"}
        given = {word.partition("=")[0] for word in rest if re.match("--?[a-z]", word)}
        assert given <= known, words


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_options_in_the_text_exist(page: Path) -> None:
    """`--save-mask`, without its command."""
    commands = runpy.run_path(str(ROOT / "scripts" / "cli_page.py"))["commands"]()
    known = {name for _, command in commands for item in command.params for name in item.opts}
    known |= {"--gpus", "--no-deps", "--rounds", "--width"}  # of docker, pip and benchmarks/
    assert {*re.findall(r"`(--[a-z-]+)", page.read_text(encoding="utf-8"))} <= known


def python_examples() -> Iterator[str]:
    doc = (restore_cli.__doc__ or "").partition("from Python:\n\n")[2].partition("\n\nNames")[0]
    yield textwrap.dedent(doc)
    for page in PAGES:
        yield from (block.text for block in blocks(page) if block.kind == "python")


@pytest.mark.weights
@pytest.mark.parametrize("example", list(dict.fromkeys(python_examples())))
def test_python_examples_run(example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    draw("photo.jpg", "photos/d.jpg", "photos/e.png")
    given = {*tmp_path.iterdir()}
    exec(compile(example, "example", "exec"), {})
    written = {*tmp_path.iterdir()} - given
    assert written
    for path in written:
        assert read_picture(path).pixels.shape in ((40, 48, 3), (80, 96, 3))


def draw(*names: str) -> None:
    """Photos of these names; a mask is white in the middle, an original the largest."""
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        picture = Image.radial_gradient("L").resize((48, 40))
        if "mask" in name:
            picture = picture.point(lambda value: 255 * (value < 60))
        else:  # without noise it would be copied
            picture = Image.blend(picture, Image.effect_noise(picture.size, 60), 0.2)
        picture.convert("RGB").save(name)


@pytest.mark.weights
@pytest.mark.parametrize(
    "page", [page for page in PAGES if shell(page, {""})], ids=lambda page: page.name
)
def test_commands_run_in_order(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RESTORE_CACHE", str(tmp_path / "cache"))
    draw(*PHOTOS)
    for line in shell(page, {""}):
        given = b""
        for program, *words in programs(line):
            words, source = redirected(words, "<")
            words, target = redirected(words, ">")
            given = Path(source).read_bytes() if source else given
            if program == "restore":
                result = CliRunner().invoke(app, words, input=given)
                assert result.exit_code == 0, f"{line}\n{result.stderr}"
                given = result.stdout_bytes
            else:
                assert program in ("cat", "find"), line
                given = subprocess.run(
                    [program, *words], input=given, capture_output=True, check=True
                ).stdout
            if target:
                Path(target).write_bytes(given)
                assert read_picture(Path(target)).channels == 3
