"""Defaults of options: command line, environment, project file, user file."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from restore_cli.cli import PHOTO_COMMANDS, app, load_command
from restore_cli.cli.defaults import find_defaults


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project, the current folder, with a photo; the user's files are in another folder."""
    project = tmp_path / "project"
    (project / ".git").mkdir(parents=True)
    (tmp_path / "user").mkdir()
    monkeypatch.setenv("RESTORE_CONFIG", str(tmp_path / "user"))
    monkeypatch.chdir(project)
    Image.linear_gradient("L").resize((24, 20)).save("a.png")
    return project


def restore(*words: str) -> Result:
    return CliRunner().invoke(app, [*words])


def output(*words: str) -> str:
    """The name of the output that a command for a.png plans."""
    result = restore(*words, "--dry-run")
    assert result.exit_code == 0, result.stderr
    return result.stdout.strip().removeprefix("a.png -> ")


def refused(text: str, *words: str) -> None:
    result = restore(*(words or ("derain", "a.png", "--dry-run")))
    assert result.exit_code == 2, result.output
    assert re.search(text, result.stderr) and result.stderr.count("\n") == 1, result.stderr


def test_variables_of_options_that_a_command_lacks_are_not_for_it(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESTORE_STRENGTH", "50%")
    assert not find_defaults("auto")
    assert find_defaults("derain")["strength"].value == "50%"


def test_the_nearest_default_holds(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    derain = ("derain", "a.png")
    assert output(*derain) == "a.derained.png"
    user = here.parent / "user/config.toml"
    user.write_text('suffix = ".user"\nformat = "jpg"\n[sr]\nsuffix = ".big"\n')
    assert output(*derain) == "a.user.jpg"
    assert output("sr", "a.png") == "a.big.jpg"
    assert output("run", "a.png", "derain | sr") == "a.user.jpg"
    Path("restore.toml").write_text('suffix = ".project"\n')
    assert output(*derain) == "a.project.jpg"
    assert output("sr", "a.png") == "a.project.jpg"
    monkeypatch.setenv("RESTORE_SUFFIX", ".env")
    assert output(*derain) == "a.env.jpg"
    monkeypatch.setenv("RESTORE_DERAIN_SUFFIX", ".rain")
    assert output(*derain) == "a.rain.jpg"
    assert output("sr", "a.png") == "a.env.jpg"
    assert output(*derain, "--suffix", ".given") == "a.given.jpg"


def test_options_of_tasks_and_switches_have_defaults(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("restore.toml").write_text('[sr]\nscale = 9\n[inpaint]\nbox = ["1,1,2,2", "4,4,1,1"]\n')
    refused(r"scale of .*restore.toml: 9 is not|9 is not a valid scale", "sr", "a.png")
    assert output("inpaint", "a.png") == "a.inpainted.png"
    Path("restore.toml").unlink()
    Path("a.derained.png").touch()
    refused("already exists")
    monkeypatch.setenv("RESTORE_OVERWRITE", "1")
    assert output("derain", "a.png") == "a.derained.png"
    monkeypatch.setenv("RESTORE_OVERWRITE", "")
    refused("already exists")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sufix = '.x'", r"Cannot use sufix in {}: there is no such option. Did you mean suffix\?"),
        (
            "sigma = 10",
            r"Cannot use sigma in {}: it is for one task\. Put it in a table like \[denoise",
        ),
        ("scale = 2", r"Cannot use scale in {}: it is for one task\. Put it in a table like \[sr"),
        ("[denoise]\nsigmas = 10", r"Cannot use denoise.sigmas in {}: .* Did you mean sigma\?"),
        ("[denoize]\nsigma = 10", r"Cannot use \[denoize\] in {}: .* Did you mean denoise\?"),
        ("[run]\npreset = 'archive'", r"Cannot use run.preset in {}: there is no such option\."),
        ("tile = 3", r"Cannot use tile of {}: Cannot use tiles of 3 pixels"),
        ("format = 'word'", r"Cannot use format of {}: Unknown format 'word'"),
        ("jpeg-quality = 'high'", r"Cannot use jpeg-quality of {}: .*valid integer"),
        ("strength = 2", r"Cannot use strength of {}: '2' is not a valid strength"),
        ("suffix = '/../../x'", r"Cannot use suffix of {}: '/../../x' is not a valid suffix"),
        ("suffix = ", r"Cannot read the table {}"),
    ],
)
@pytest.mark.parametrize("file", ["user/config.toml", "project/restore.toml"])
def test_errors_name_file_and_key(here: Path, file: str, text: str, said: str) -> None:
    path = here.parent / file
    path.write_text(text)
    refused(said.format(re.escape(str(path))))


def test_an_unknown_model_names_the_file_that_chose_it(here: Path) -> None:
    file = here.parent / "user/config.toml"
    file.write_text("[denoise]\nmodel = 'gausian'")
    result = restore("denoise", "a.png")
    assert result.exit_code == 3
    assert f"Some options are set in {file}." in result.stderr


def test_errors_name_the_origins_of_options(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("restore.toml").write_text("format = 'png'")
    monkeypatch.setenv("RESTORE_DEVICE", "tpu")
    result = restore("denoise", "a.png")
    assert result.exit_code == 2
    assert "tpu" in result.stderr
    assert f"Some options are set in {here}/restore.toml, RESTORE_DEVICE." in result.stderr


@pytest.mark.parametrize(
    "line",
    [
        "overwrite = true",
        "accept-license = ['drunet-color']",
        "output = '/tmp/'",
        "save-mask = 'x.png'",
        "mask = 'x.png'",
        "reference = 'x.png'",
        "report = ['x.csv']",
        "compare = 'x.html'",
        "files-from = '/etc/passwd'",
        "max-pixels = 999999999999",
        "jobs = 10000",
        "ray = 'auto'",
        "watch = true",
        "model = '../evil.pth'",
        "model = 'https://example.com/evil.safetensors'",
        "[derain]\nmodel = 'a.png'",
    ],
)
def test_a_project_can_do_no_harm(here: Path, line: str) -> None:
    Path("restore.toml").write_text(line)
    refused(
        "Cannot use .* in .*restore.toml: .* Set it in .*config.toml, or give it on the command"
    )
    Path("restore.toml").rename(here.parent / "user/config.toml")
    assert restore("config").exit_code == 0  # the user may choose it


def test_a_project_reaches_to_its_repository(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here.parent / "restore.toml").write_text('suffix = ".stranger"\n')
    inner = here / "photos/2026"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    Image.linear_gradient("L").save("a.png")
    assert output("derain", "a.png") == "a.derained.png"
    (here / "restore.toml").write_text('suffix = ".project"\n')
    assert output("derain", "a.png") == "a.project.png"
    (here / ".git").rmdir()  # only the current folder is searched without a repository
    assert output("derain", "a.png") == "a.derained.png"
    monkeypatch.setenv("HOME", str(here))
    assert output("derain", "a.png") == "a.project.png"


def test_config_shows_what_holds_and_why(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    user = here.parent / "user/config.toml"
    empty = restore("config")
    assert (empty.exit_code, empty.stdout) == (0, "")
    assert f"User file: {user} (does not exist)" in empty.stderr
    user.write_text('device = "cpu"\njpeg-quality = 90\n[denoise]\nmodel = "gaussian"\n')
    project = here / "restore.toml"
    project.write_text("jpeg-quality = 92\n[sr]\nscale = 3\n")
    monkeypatch.setenv("RESTORE_SR_SCALE", "4")
    result = restore("config")
    assert result.stdout.splitlines() == [
        f'device = "cpu"  # {user}',
        f"jpeg-quality = 92  # {project}",
        "[denoise]",
        f'model = "gaussian"  # {user}',
        "[sr]",
        "scale = 4  # RESTORE_SR_SCALE",
    ]
    assert f"Project file: {project}" in result.stderr


def test_an_option_precedes_defaults_that_exclude_it(here: Path) -> None:
    file = here.parent / "user/config.toml"
    file.write_text('overwrite = true\n[sr]\nsize = "48x"\n')
    assert output("sr", "a.png", "--scale", "3", "--skip-existing") == "a.enlarged.png"
    refused("--scale and --size together", "sr", "a.png", "--scale", "3", "--size", "48x")
    file.write_text("skip-existing = true\n[sr]\nscale = 3\n")
    assert output("sr", "a.png", "--size=48x", "--overwrite") == "a.enlarged.png"
    file.write_text('format = "jpg"\nprovenance = true\n')
    assert output("derain", "a.png", "-o", "b.png").endswith("b.png")
    assert restore("derain", "a.png", "--pages", "all", "--dry-run").exit_code == 0
    file.write_text("resume = true\nretry-failed = true\n[sr]\nscale = 3\n")
    assert output("sr", "a.png", "--skip-existing") == "a.enlarged.png"


@pytest.mark.parametrize(
    "words", [("--output=o.png",), ("-oo.png",), ("-o", "o.png"), ("-qo", "o.png")]
)
def test_an_output_precedes_a_default_format(here: Path, words: tuple[str, ...]) -> None:
    Path("restore.toml").write_text('format = "jpg"\n')
    assert output("derain", "a.png", *words) == "o.png"


@pytest.mark.parametrize("words", [(), ("-o", "-"), ("--output=-",), ("-o-",)])
def test_a_pipe_precedes_json_by_default(here: Path, words: tuple[str, ...]) -> None:
    (here.parent / "user/config.toml").write_text("json = true\n")
    data = Path("a.png").read_bytes()
    words = ("derain", "-", "--strength", "0", *words)
    result = CliRunner().invoke(app, list(words), input=data)
    assert result.exit_code == 0, result.stderr
    assert result.stdout_bytes == data


def test_a_list_from_a_pipe_does_not_exclude_json(here: Path) -> None:
    (here.parent / "user/config.toml").write_text("json = true\n")
    words = ["derain", "--files-from", "-", "--strength", "0"]
    result = CliRunner().invoke(app, words, input="a.png\n")
    assert result.exit_code == 0 and '"status": "done"' in result.stdout


def test_a_variable_precedes_what_it_excludes_in_a_file(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = here.parent / "user/config.toml"
    user.write_text("skip-existing = true\n[sr]\nscale = 3\n")
    monkeypatch.setenv("RESTORE_SR_SIZE", "48x")
    monkeypatch.setenv("RESTORE_OVERWRITE", "1")
    Path("a.enlarged.png").touch()
    assert output("sr", "a.png") == "a.enlarged.png"


def test_a_list_of_names_is_one_value(here: Path) -> None:
    (here.parent / "user/config.toml").write_text('[auto]\nonly = ["denoise", "deblock"]\n')
    assert find_defaults("auto")["only"].value == "denoise,deblock"


def test_config_shows_texts_as_they_are(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for text, shown in (
        ("2026-01-31", '"2026-01-31"'),
        ("12:30:00", '"12:30:00"'),
        ("0x10", '"0x10"'),
        ("1 # b", '"1 # b"'),
        ("7", "7"),
    ):
        monkeypatch.setenv("RESTORE_SUFFIX", text)
        assert restore("config").stdout.startswith(f"suffix = {shown}  # RESTORE_SUFFIX\n")


def test_help_fails_as_the_command_does(here: Path) -> None:
    (here.parent / "user/config.toml").write_text('sufix = "a"\n')
    refused("Did you mean suffix", "help", "denoise")


def test_no_variable_of_the_program_is_that_of_an_option() -> None:
    """RESTORE_CACHE and the like do not set an option."""
    options = {
        word.lstrip("-").replace("-", "_").upper()
        for name in PHOTO_COMMANDS
        for item in load_command(name).params
        for word in item.opts
    }
    root = Path(__file__).parents[1] / "restore_cli"
    used = {
        name
        for path in root.rglob("*.py")
        for name in re.findall(r'"RESTORE_([A-Z]+)"', path.read_text(encoding="utf-8"))
    }
    assert {"CACHE", "STATE", "CONFIG", "FOLLOWS"} <= used
    assert not used & options
