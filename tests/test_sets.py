"""Image sets: all folder layouts, valid and invalid pairs, and downloads from a local server."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hub import Hub, serving
from PIL import Image

from restore_cli import download
from restore_cli.datasets.find import open_set
from restore_cli.datasets.known import SetEntry, known_sets, read_table
from restore_cli.datasets.layout import ImageSet
from restore_cli.datasets.pairing import find_pairs
from restore_cli.errors import PictureError, RestoreError, UsageError

REVISION = "7e079a6800958ae777b48e41fc1202a2ee21ecbe"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RESTORE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def draw(folder: Path, *names: str, size: tuple[int, int] = (12, 9)) -> None:
    """Write images of width x height."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", size).save(path)


def pairs(found: ImageSet) -> list[tuple[str, str | None]]:
    """The paths of clean and degraded files, shortened to their last two parts."""

    def short(path: Path | None) -> str | None:
        return "/".join(path.parts[-2:]) if path else None

    return [(short(example.clean) or "", short(example.damaged)) for example in found.examples]


# The table


@pytest.mark.parametrize("name", known_sets())
def test_every_known_set_states_its_source(name: str) -> None:
    entry = known_sets()[name]
    assert name == entry.name == name.lower()
    assert entry.title
    assert entry.paper
    assert entry.images > 0
    assert entry.channels in (1, 3)
    assert entry.source or "http" in entry.note
    if isinstance(entry.source, download.Url) and "github.com" in entry.source.url:
        _, _, _, _, repository, _, archive = entry.source.url.split("/")
        commit = archive.removesuffix(".zip")
        assert len(commit) == 40
        assert entry.members.startswith(f"{repository}-{commit}/")
    elif isinstance(entry.source, download.Url):
        assert entry.sha256


def test_the_standard_sets_are_known() -> None:
    names = "set5 set14 set12 bsd68 cbsd68 bsd100 urban100 kodak24 mcmaster live1 classic5"
    names += " rain100h rain12"
    assert not set(names.split()) - known_sets().keys()


TABLE = 'title = "T"\npaper = "P"\nimages = 2\nchannels = 3\n'


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (f'{TABLE}note = "n"\nsize = 3', "s has unknown keys: size"),
        ('title = "T"\nnote = "n"', "s lacks paper, images, channels"),
        (f"{TABLE}note = 3", "s: note cannot be 3"),
        (TABLE, "s: without a download, note must say where"),
        (f'{TABLE}url = "http://example.org/a.zip"', "s: the URL must be https"),
        (f'{TABLE}url = "https://example.org/a.zip"\nsha256 = "00"', "s: sha256 must be 64"),
        (f'{TABLE}note = "n"\nlayout = "odd"', "s: layout must be plain or pairs, not 'odd'"),
        (
            f'{TABLE}hub = {{ repo = "a/b", revision = "main", file = "c" }}',
            "s: the revision must be a full",
        ),
        (
            f'{TABLE}hub = {{ repo = "a/b", revision = "{REVISION}", file = "c", kind = "space" }}',
            "s: the kind of repository must be model or dataset, not 'space'",
        ),
        ("[", "Cannot read the table"),
    ],
)
def test_an_error_in_the_table_is_reported(tmp_path: Path, table: str, words: str) -> None:
    (tmp_path / "t.toml").write_text(f"[s]\n{table}\n")
    with pytest.raises(RestoreError, match=words):
        read_table(tmp_path / "t.toml")


# Layouts


def test_images_of_a_folder(data: Path) -> None:
    draw(data, "b.png", "a.bmp", "deeper/c.png", ".hidden.png")
    (data / "readme.txt").touch()
    found = open_set(f"{data}/")
    assert (found.name, [example.name for example in found.examples]) == ("data", ["a", "b"])
    assert pairs(found) == [("data/a.bmp", None), ("data/b.png", None)]


def test_images_of_subfolders(data: Path) -> None:
    draw(data, "one/a.png", "two/a.png", "__/._a.png", ".thumbs/a.png")
    assert [example.name for example in open_set(str(data)).examples] == ["one/a", "two/a"]


def test_a_folder_of_sets_is_not_a_set(data: Path) -> None:
    draw(data, "Set12/a.png", "mine/a.png")
    with pytest.raises(UsageError, match=r"data contains several sets: Set12, mine\. Name"):
        open_set(str(data))
    draw(data, "b.png")
    assert pairs(open_set(str(data))) == [("data/b.png", None)]


def scaled(folder: Path, *scales: int) -> Path:
    for scale in scales:
        draw(folder, f"x{scale}/hr/a.png", size=(13, 12))
        draw(folder, f"x{scale}/lr/a.png", size=(13 // scale, 12 // scale))
    return folder


def test_folders_by_scale(data: Path) -> None:
    scaled(data / "Set5", 2, 3, 4)
    assert pairs(open_set("set5", [data])) == [("hr/a.png", None)]
    assert open_set("set5", [data]).examples[0].clean.parts[-3] == "x2"
    found = open_set("set5", [data], scale=3).examples[0]
    assert found.damaged
    assert found.clean.parts[-3:] == ("x3", "hr", "a.png")
    assert found.damaged.parts[-3:] == ("x3", "lr", "a.png")
    assert open_set(str(data / "Set5" / "x4")).examples[0].damaged
    with pytest.raises(UsageError, match=r"does not contain x8; available: x2, x3, x4"):
        open_set("set5", [data], scale=8)


def test_a_scale_is_ignored_without_folders_by_scale(data: Path) -> None:
    draw(data, "a.png")
    assert pairs(open_set(str(data), scale=2)) == [("data/a.png", None)]


@pytest.mark.parametrize(
    ("clean", "damaged"),
    [
        ("clean", "rainy"),
        ("GT", "input"),
        ("target", "noisy"),
        ("groundtruth", "blurry"),
        ("norain", "rain"),
    ],
)
def test_pairs_in_folders_of_standard_names(data: Path, clean: str, damaged: str) -> None:
    draw(
        data,
        f"{clean}/2.png",
        f"{damaged}/2.jpg",
        f"{clean}/10.png",
        f"{damaged}/10.jpg",
        "other/x.png",
    )
    assert pairs(open_set(str(data))) == [
        (f"{clean}/10.png", f"{damaged}/10.jpg"),
        (f"{clean}/2.png", f"{damaged}/2.jpg"),
    ]


def test_pairs_without_a_set(data: Path) -> None:
    draw(data, "dry/1.png", "wet/1x2.png", "dry/more/2.png", "wet/more/2.png")
    pair = (data / "dry/1.png", data / "wet/1x2.png")
    deeper = (data / "dry/more/2.png", data / "wet/more/2.png")
    assert find_pairs(data, "dry:wet") == [pair]
    assert find_pairs(data, "dry:wet", recursive=True) == [pair, deeper]
    assert find_pairs(data, "dry:") == [(pair[0], None)]
    (data / "wet/1x2.png").unlink()
    with pytest.raises(UsageError, match=r"dry/1.png has no matching image in .*wet"):
        find_pairs(data, "dry:wet", recursive=True)


def test_pairs_in_given_folders(data: Path) -> None:
    draw(data, "dry/1.png", "wet/1.png", "clean/9.png")
    assert pairs(open_set(str(data), pairs="dry:wet")) == [("dry/1.png", "wet/1.png")]
    assert pairs(open_set(str(data), pairs="dry:")) == [("dry/1.png", None)]
    with pytest.raises(UsageError, match=r"damp is not a folder"):
        open_set(str(data), pairs="dry:damp")
    with pytest.raises(UsageError, match=r"'dry' is not a valid .* CLEAN:DAMAGED, or"):
        open_set(str(data), pairs="dry")


def test_the_layout_of_rain100h(data: Path) -> None:
    draw(data, "norain-001.png", "norain-002.png", "rainy/rain-001.png", "rainy/norain-002x2.png")
    assert pairs(open_set(str(data))) == [
        ("data/norain-001.png", "rainy/rain-001.png"),
        ("data/norain-002.png", "rainy/norain-002x2.png"),
    ]


def test_pairs_match_names_with_a_scale(data: Path) -> None:
    draw(data / "hr", "baby.png", "box2.png", size=(8, 8))
    draw(data / "lr", "babyx2.png", "box2x2.png", size=(4, 4))
    found = open_set(str(data), scale=2)
    assert pairs(found) == [("hr/baby.png", "lr/babyx2.png"), ("hr/box2.png", "lr/box2x2.png")]


@pytest.mark.parametrize(
    ("clean", "damaged", "words"),
    [
        (["1.png", "2.png"], ["1.png"], r"clean/2.png has no matching image in .*rainy; add it"),
        (["1.png"], ["1.png", "3.png"], r"rainy/3.png has no matching image in .*clean; add it"),
        (["1.png"], ["1.png", "1x2.png"], r"1.png and .*1x2.png both match .*clean/1.png"),
        (["1.png", "1.bmp"], ["1.png"], r"1.bmp and .*1.png have the same name; remove"),
        (["1.png"], [], r"1.png has no matching image in"),
        ([], ["1.png"], r"No images found in .*clean; pass a folder of images"),
    ],
)
def test_images_without_a_match_are_reported(
    data: Path, clean: list[str], damaged: list[str], words: str
) -> None:
    for folder, names in (("clean", clean), ("rainy", damaged)):
        (data / folder).mkdir()
        draw(data / folder, *names)
    with pytest.raises(UsageError, match=words):
        open_set(str(data))


@pytest.mark.parametrize(
    ("size", "scale", "fits"),
    [
        ((12, 9), None, True),
        ((12, 9), 2, True),
        ((6, 4), 2, True),  # the remainder fills no whole pixel
        ((6, 5), 2, False),
        ((4, 3), 3, True),
        ((4, 3), 2, False),
        ((6, 4), None, False),
        ((12, 8), None, False),
    ],
)
def test_sizes_of_a_pair(data: Path, size: tuple[int, int], scale: int | None, fits: bool) -> None:
    draw(data, "hr/a.png", size=(12, 9))
    draw(data, "lr/a.png", size=size)
    if fits:
        assert len(open_set(str(data), scale=scale).examples) == 1
    else:
        words = rf"hr/a.png is 12 x 9 and .*lr/a.png is {size[0]} x {size[1]} pixels"
        with pytest.raises(UsageError, match=words):
            open_set(str(data), scale=scale)


def test_a_matching_file_that_is_not_an_image(data: Path) -> None:
    draw(data, "clean/a.png")
    (data / "rainy").mkdir()
    (data / "rainy" / "a.png").write_text("rain")
    with pytest.raises(PictureError, match=r"rainy/a\.png"):
        open_set(str(data))


# Words


def test_a_name_is_searched_in_the_data_folders(data: Path, tmp_path: Path) -> None:
    draw(data / "SET5", "a.png")
    other = tmp_path / "other"
    draw(other / "mine", "b.png")
    assert pairs(open_set("Set5", [other, data])) == [("SET5/a.png", None)]
    assert open_set("mine", [data, other]).name == "mine"
    with pytest.raises(UsageError, match="nowhere is not a folder"):
        open_set("set5", [tmp_path / "nowhere"])


def test_an_incomplete_set_has_a_warning(data: Path) -> None:
    draw(data / "Set5", "a.png", "b.png")
    assert open_set("set5", [data]).warning == f"Set5 has 5 images, but {data / 'Set5'} holds 2."
    draw(data / "Set5", "c.png", "d.png", "e.png")
    assert not open_set("set5", [data]).warning
    draw(data / "set5_10", "a.png")
    assert not open_set("set5_10", [data]).warning
    assert not open_set(str(data / "set5_10")).warning


def test_a_path_takes_precedence_over_a_name(tmp_path: Path, data: Path) -> None:
    draw(data / "set5", "a.png")
    draw(tmp_path / "here" / "set5", "b.png")
    assert [example.name for example in open_set("set5", [data]).examples] == ["b"]


@pytest.mark.parametrize(
    ("word", "words"),
    [
        ("set55", "Unknown set 'set55'; did you mean set5"),
        ("zzz", "Unknown set 'zzz'; available: set5, "),
        ("", "Unknown set ''"),
        ("some/where", "Cannot open some/where: it is not a folder"),
        (
            "manga109",
            r"Manga109 must be .* manually.*manga109.org. Put its images into .*sets/manga109",
        ),
    ],
)
def test_unknown_and_manual_sets_are_reported(word: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        open_set(word)


# Downloads


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serving() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server


def image(color: int = 0) -> bytes:
    data = io.BytesIO()
    Image.new("L", (8, 8), color).save(data, "PNG")
    return data.getvalue()


FILES: Mapping[str, bytes] = {
    "top/set/a.png": image(1),
    "top/set/b.png": image(2),
    "top/set/._a.png": b"",
    "top/set/notes.txt": b"",
    "top/c.png": image(3),
}


def zipped(files: Mapping[str, bytes]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return data.getvalue()


def tarred(files: Mapping[str, bytes]) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        link = tarfile.TarInfo("top/set/link.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    return data.getvalue()


def bomb(pack: Callable[[Mapping[str, bytes]], bytes]) -> bytes:
    """A small archive that unpacks to an image of 20 MB."""
    return pack({"top/set/a.png": bytes(20_000_000)})


def long_name() -> bytes:
    """An archive with a file name of 200 MB, which tarfile would read into memory."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("first"))
        info = tarfile.TarInfo("././@LongLink")
        info.type, info.size = tarfile.GNUTYPE_LONGNAME, 200_000_000
        archive.addfile(info)
    return data.getvalue()


@pytest.fixture
def offer(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Callable[..., SetEntry]:
    """Put an archive on the server, as the only known set, named "some"."""

    def offer(content: bytes, on_hub: bool = False, **values: Any) -> SetEntry:
        source: download.Hub | download.Url
        if on_hub:
            hub.files[f"/datasets/a/b/resolve/{REVISION}/data/set.tar.gz"] = content
            source = download.Hub("a/b", REVISION, "data/set.tar.gz", "dataset")
        else:
            hub.files["/set.zip"] = content
            source = download.Url(f"{hub.url}/set.zip")
        defaults = {"title": "Some", "paper": "P", "images": 2, "channels": 1, "members": "top/set"}
        entry = SetEntry(**{"name": "some", "source": source, **defaults, **values})
        for module in ("fetch", "find", "layout", "pairing"):
            known = f"restore_cli.datasets.{module}.known_sets"
            monkeypatch.setattr(known, lambda: {"some": entry})
        return entry

    return offer


@pytest.mark.parametrize("on_hub", [True, False])
@pytest.mark.parametrize("pack", [zipped, tarred])
def test_a_set_is_downloaded_once(
    hub: Hub,
    offer: Callable[..., SetEntry],
    pack: Callable[..., bytes],
    on_hub: bool,
    tmp_path: Path,
) -> None:
    content = pack(FILES)
    offer(content, on_hub, sha256=hashlib.sha256(content).hexdigest())
    found = open_set("SOME")
    assert pairs(found) == [("some/a.png", None), ("some/b.png", None)]
    assert found.name == "some"
    assert found.examples[1].clean.read_bytes() == image(2)
    store = tmp_path / "cache" / "sets"
    assert sorted(path.name for path in store.rglob("*")) == ["a.png", "b.png", "some"]
    count = len(hub.requests)
    assert open_set("some", offline=True) == found
    assert len(hub.requests) == count


def test_common_folders_are_skipped(offer: Callable[..., SetEntry]) -> None:
    offer(
        zipped({f"x/y/{kind}/1.png": image() for kind in ("clean", "rainy")}), members="", images=1
    )
    assert pairs(open_set("some")) == [("clean/1.png", "rainy/1.png")]


def test_images_at_the_root_of_an_archive(offer: Callable[..., SetEntry]) -> None:
    offer(tarred({"./a.png": image(), "./b.png": image()}), members="")
    assert pairs(open_set("some")) == [("some/a.png", None), ("some/b.png", None)]


def test_an_interrupted_download_resumes(
    hub: Hub, offer: Callable[..., SetEntry], tmp_path: Path
) -> None:
    content = zipped(FILES)
    offer(content)
    hub.cuts["/set.zip"] = [200, 0]
    with pytest.raises(
        RestoreError, match=r"Cannot download Some: .*lost after 200 of .* Put its images into"
    ):
        open_set("some")
    assert not (tmp_path / "cache" / "sets" / "some").exists()
    assert len(open_set("some").examples) == 2
    assert hub.requests[-1] == "GET /set.zip bytes=200-"


def test_two_processes_download_a_set_once(hub: Hub, offer: Callable[..., SetEntry]) -> None:
    offer(zipped(FILES))
    with ThreadPoolExecutor() as pool:
        found = list(pool.map(lambda _: open_set("some"), range(4)))
    assert [len(one.examples) for one in found] == [2] * 4
    assert len([request for request in hub.requests if "GET /set.zip" in request]) == 1


@pytest.mark.parametrize(
    ("content", "values", "words"),
    [
        (zipped(FILES), {"images": 3}, r"contains 2 images, not 3\. Put its images into"),
        (zipped(FILES), {"sha256": "0" * 64}, "Cannot use .*: its sha256 is"),
        (zipped(FILES)[:-30], {}, "Cannot unpack"),
        (tarred(FILES)[:-30], {}, "Cannot unpack"),
        (b"<html>", {}, "Cannot unpack"),
        (
            zipped({"../a.png": image()}),
            {"members": ""},
            r"it contains the unsafe path \.\./a\.png",
        ),
        (tarred({"/a.png": image()}), {"members": ""}, "it contains the unsafe path /a.png"),
        (zipped({"top/set/../../a.png": image()}), {}, "it contains the unsafe path"),
        (
            zipped({"C:/evil.png": image()}),
            {"members": ""},
            "it contains the unsafe path C:/evil.png",
        ),
        (bomb(zipped), {}, "Cannot unpack .*its content is more than 20 times its own size"),
        (bomb(tarred), {}, "Cannot unpack .*its content is more than 20 times its own size"),
        (long_name(), {}, "Cannot unpack .*: an entry that is not a file has 200,000,000 bytes"),
    ],
)
def test_a_bad_archive_leaves_no_files(
    offer: Callable[..., SetEntry],
    tmp_path: Path,
    content: bytes,
    values: dict[str, Any],
    words: str,
) -> None:
    offer(content, **values)
    with pytest.raises(RestoreError, match=words):
        open_set("some")
    assert list((tmp_path / "cache" / "sets").iterdir()) == []
    assert list(tmp_path.rglob("a.png")) == []


def test_an_archive_without_the_images(offer: Callable[..., SetEntry]) -> None:
    offer(zipped(FILES), members="elsewhere")
    with pytest.raises(RestoreError, match=r"set\.zip: it has no images in elsewhere"):
        open_set("some")


@pytest.mark.parametrize("variable", [True, False])
def test_offline(
    hub: Hub,
    offer: Callable[..., SetEntry],
    variable: bool,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    if variable:
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    offer(zipped(FILES))
    place = tmp_path / "cache" / "sets" / "some"
    with pytest.raises(UsageError, match=rf"offline mode is on. Put its images into {place}"):
        open_set("some", offline=not variable)
    assert hub.requests == []
    draw(place, "x.png")  # as the message says
    assert pairs(open_set("some", offline=True)) == [("some/x.png", None)]
