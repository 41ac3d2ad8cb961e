"""`restore serve`: its HTTP API, its limits, and what it refuses."""

from __future__ import annotations

import asyncio
import errno
import io
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from markupsafe import escape
from PIL import Image
from typer.testing import CliRunner

from restore_cli.cli import app as cli
from restore_cli.cli.restore import task_command
from restore_cli.errors import UsageError
from restore_cli.image import Metadata, Picture, read_picture, write_picture
from restore_cli.report import html
from restore_cli.report.record import Record
from restore_cli.serve import app, pages, work
from restore_cli.serve.config import Config
from restore_cli.serve.options import actions, schema_of
from restore_cli.serve.work import Order, Outcome, clean_name
from restore_cli.tasks import TASKS, find_task, option_fields

ADDRESS = "http://127.0.0.1:8000"
ROOT = Path(__file__).parents[1]
Serve = Callable[..., TestClient]


def png(size: tuple[int, int] = (24, 20), sigma: float = 20) -> bytes:
    """A smooth photo with noise."""
    ramp = np.linspace(60, 200, size[0] * size[1]).reshape(size[1], size[0], 1)
    noisy = ramp + sigma * np.random.default_rng(0).standard_normal((size[1], size[0], 3))
    buffer = io.BytesIO()
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the server keeps uploads and results."""
    (tmp_path / "kept").mkdir()
    return tmp_path / "kept"


@pytest.fixture
def serve(folder: Path) -> Iterator[Serve]:
    clients: list[TestClient] = []

    def serve(**config: Any) -> TestClient:
        client = TestClient(app.create_app(Config(**config), folder), base_url=ADDRESS)
        clients.append(client.__enter__())
        return client

    yield serve
    for client in clients:
        client.__exit__(None, None, None)


@pytest.fixture
def instant(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the restoration by a copy of the photo."""

    def restore(_: Any, order: Order, report: Callable[[float], None]) -> Outcome:
        report(1)
        order.result.write_bytes(order.photo.read_bytes())
        return Outcome(Record(order.name, "done"), f"{order.name[:-4]}.denoised.png", "image/png")

    monkeypatch.setattr(work.Worker, "restore", restore)


@pytest.fixture
def stuck(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Replace the restoration by one that works until the event is set."""
    event = threading.Event()

    def restore(_: Any, order: Order, report: Callable[[float], None]) -> Outcome:
        while not event.wait(0.01):
            report(0)
        return Outcome(Record(order.name, "done"), "photo.denoised.png", "image/png")

    monkeypatch.setattr(work.Worker, "restore", restore)
    yield event
    event.set()


def post(client: TestClient, task: str = "denoise", data: bytes | None = None, **other: Any) -> Any:
    """Send a photo; `other` are options, and settings of the request."""
    settings = {key: other.pop(key) for key in ("headers", "params") if key in other}
    files = {"photo": (other.pop("name", "photo.png"), png() if data is None else data)}
    if mask := other.pop("mask", None):
        files["mask"] = ("mask.png", mask)
    return client.post(f"/v1/{task}", files=files, data=other, **settings)


def finish(client: TestClient, id: str) -> dict[str, Any]:
    """Wait until a job is done."""
    while (job := client.get(f"/v1/jobs/{id}").json())["state"] in ("waiting", "running"):
        time.sleep(0.02)
    return dict(job)


# Restoring photos

DEEP = Picture(
    np.random.default_rng(0).random((20, 24, 3), np.float32),
    alpha=np.full((20, 24), 40_000, np.uint16),
    metadata=Metadata(xmp=b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"),
    depth=16,
)


@pytest.mark.weights
@pytest.mark.parametrize(
    ("task", "name", "options"),
    [
        ("denoise", "deep.png", {"sigma": "25"}),
        ("denoise", "deep.tif", {"strength": "50%", "format": "png"}),
        ("denoise", "deep.jpg", {"mask": "mask.png", "jpeg-quality": "80"}),
        ("sr", "deep.png", {"scale": "1.5"}),
        ("auto", "deep.png", {"only": "deblock,denoise"}),
        ("inpaint", "deep.jpeg", {"box": "3,3,5,5", "grow": "1", "model": "default"}),
    ],
)
def test_a_result_equals_that_of_the_command(
    serve: Serve, tmp_path: Path, task: str, name: str, options: dict[str, str]
) -> None:
    photo, mask = tmp_path / name, tmp_path / "mask.png"
    write_picture(DEEP, photo)
    Image.linear_gradient("L").resize((24, 20)).save(mask)
    files = {key: str(mask) if key == "mask" else text for key, text in options.items()}
    words = [word for key, text in files.items() for word in (f"--{key}", text)]
    made = CliRunner().invoke(cli, [task, str(photo), "-o", f"{tmp_path}/out/", *words, "--json"])
    assert made.exit_code == 0, made.output
    record = json.loads(made.stdout)

    if "mask" in options:
        options = {**options, "mask": mask.read_bytes()}  # type: ignore[dict-item]
    answer = post(serve(), task, photo.read_bytes(), name=name, **options)
    assert answer.status_code == 200, answer.text
    output = Path(record["output"])
    assert answer.content == output.read_bytes()
    assert f'filename="{output.name}"' in answer.headers["content-disposition"]
    assert answer.headers["content-type"] == Image.MIME[read_picture(output).format or ""]
    told = json.loads(answer.headers["restore-record"])
    for key in ("model", "options", "output_width", "noise_before", "warnings"):
        assert told.get(key) == record.get(key)


@pytest.mark.weights
def test_a_comparison_shows_both_at_the_same_size(serve: Serve) -> None:
    client = serve()
    id = post(client, "sr", scale="1.5", params={"wait": False}).json()["id"]
    assert finish(client, id)["state"] == "done"
    page = client.get(f"/v1/jobs/{id}/comparison")
    assert '"width": 36' in page.text and "enlarged to 36 x 30" in page.text
    assert page.headers["content-security-policy"] == "frame-ancestors 'self'"


@pytest.mark.parametrize("task", TASKS)
def test_the_options_are_those_of_the_command(task: str) -> None:
    command = task_command(find_task(task)).__signature__.parameters  # type: ignore[attr-defined]
    action = actions()[task]
    assert {*option_fields(find_task(task))} < {*action.options} < {*command}
    for name in ("strength", "ensemble", "jpeg_quality"):
        assert action.options[name].default == command[name].default
    assert {*schema_of(action)["properties"]} == {"photo", "mask", *action.options}


def test_the_schema_and_the_pages_describe_every_task(serve: Serve) -> None:
    client = serve()
    schema, docs, page = (client.get(path).text for path in ("/openapi.json", "/docs", "/"))
    assert {f"/v1/{name}" for name in actions()} <= {*json.loads(schema)["paths"]}
    for way in json.loads(schema)["paths"]["/v1/denoise"].values():
        for code in ("422", "4XX", "5XX"):
            [answer] = way["responses"][code]["content"].values()
            assert answer["schema"]["required"] == ["error"]
    for name, action in actions().items():
        assert f"POST /v1/{name}" in docs and f'<option value="{name}">' in page
        for item in action.options.values():
            text = escape(item.metadata["help"])
            assert text in docs and (text in page or item.name == "model")


@pytest.mark.usefixtures("instant")
def test_a_job_waits_for_its_result_to_be_fetched(serve: Serve, folder: Path) -> None:
    client, photo = serve(), png()
    answer = post(client, data=photo, params={"wait": "false"})
    job = answer.json()
    assert answer.status_code == 202 and answer.headers["location"] == f"/v1/jobs/{job['id']}"
    done = finish(client, job["id"])
    assert (done["state"], done["progress"], done["status"]) == ("done", 1, 200)
    place = f"{answer.headers['location']}/result"
    assert client.get(place, params={"keep": True}).content == photo
    assert client.get(place).content == photo
    assert not [*folder.iterdir()]
    lost = client.get(place)
    assert lost.status_code == 404 and "fetched, deleted or too old" in lost.json()["error"]


@pytest.mark.usefixtures("instant")
def test_a_result_is_deleted_before_its_last_byte_is_sent(serve: Serve) -> None:
    client = serve()
    place = f"/v1/jobs/{post(client, params={'wait': 'false'}).json()['id']}"
    finish(client, place.rpartition("/")[2])
    again: list[int] = []

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(9)
        return {}

    async def ask(path: str, send: Callable[[Any], Any]) -> None:
        scope = {"type": "http", "method": "GET", "path": path, "query_string": b""}
        headers = [(b"host", client.base_url.netloc)]
        await client.app({**scope, "scheme": "http", "headers": headers}, receive, send)

    async def note(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            again.append(message["status"])

    async def send(message: dict[str, Any]) -> None:
        if message.get("body") and not again:
            await ask(f"{place}/result", note)

    asyncio.run(ask(f"{place}/result", send))
    assert again == [404]


@pytest.mark.usefixtures("instant")
def test_a_download_that_breaks_off_can_be_repeated(serve: Serve) -> None:
    client, photo = serve(), png()
    place = f"/v1/jobs/{post(client, data=photo, params={'wait': 'false'}).json()['id']}"
    finish(client, place.rpartition("/")[2])

    async def fetch() -> None:
        async def receive() -> dict[str, str]:
            return {"type": "http.disconnect"}

        async def send(_: object) -> None:
            pass

        address = {
            "method": "GET",
            "path": f"{place}/result",
            "query_string": b"",
            "scheme": "http",
        }
        headers = [(b"host", client.base_url.netloc)]
        await client.app({"type": "http", "headers": headers, **address}, receive, send)

    asyncio.run(fetch())
    part = client.get(f"{place}/result", headers={"range": "bytes=0-9"})
    assert (part.status_code, part.content) == (200, photo)
    assert "accept-ranges" not in part.headers
    assert client.get(place).status_code == 404


@pytest.mark.usefixtures("instant")
def test_many_clients_get_their_own_results(serve: Serve, folder: Path) -> None:
    client = serve()
    photos = [png(sigma=sigma) for sigma in range(12)]
    with ThreadPoolExecutor(6) as pool:
        answers = [*pool.map(lambda photo: post(client, data=photo), photos)]
    assert [answer.content for answer in answers] == photos
    assert not [*folder.iterdir()]


@pytest.mark.usefixtures("instant")
def test_a_zip_holds_every_result_once(serve: Serve, folder: Path) -> None:
    client = serve()
    names = ["a.png", "a.png", "A.PNG", "../../b.png", "..\\c.png"]
    ids = [post(client, name=name, params={"wait": False}).json()["id"] for name in names]
    for id in ids:
        finish(client, id)
    pack = client.get("/v1/results.zip", params={"id": ids})
    assert zipfile.ZipFile(io.BytesIO(pack.content)).namelist() == [
        "a.denoised.png",
        "a.denoised (2).png",
        "A.denoised (3).png",
        "b.denoised.png",
        "c.denoised.png",
    ]
    part = {"Range": f"bytes={len(pack.content)}-"}  # as of a download that is resumed
    again = client.get("/v1/results.zip", params={"id": ids}, headers=part)
    assert again.status_code == 200 and len(again.content) == len(pack.content)
    assert not [*folder.glob("*.zip")]


def test_a_zip_without_results_is_an_error(serve: Serve) -> None:
    client = serve()
    id = post(client, data=b"no photo", params={"wait": False}).json()["id"]
    finish(client, id)
    answer = client.get("/v1/results.zip", params={"id": id})
    assert answer.status_code == 400 and "photo.png" in answer.json()["error"]


# Errors


def test_an_unexpected_error_is_printed_by_the_server(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("what nobody expected")

    monkeypatch.setattr(work.Worker, "_restore", fail)
    assert post(serve()).status_code == 500
    assert "ZeroDivisionError: what nobody expected" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("task", "form", "status", "words"),
    [
        ("denoise", {"sigma": "many"}, 422, "'many' is not a valid sigma"),
        ("denoise", {"sigma": "-1"}, 422, "-1 is not a valid sigma"),
        ("denoise", {"scale": "2"}, 422, "Unknown option 'scale' of denoise; expected sigma,"),
        ("denoise", {"strength": "2"}, 422, "'2' is not a valid strength"),
        ("denoise", {"format": "gif"}, 422, "photo.gif: GIF files can only be read"),
        ("denoise", {"jpeg_quality": "0"}, 422, "'0' is not a valid quality"),
        ("denoise", {"jpeg_quality": "9" * 5000}, 422, "is not a valid quality"),
        ("denoise", {"ensemble": "yes"}, 422, "'yes' is not valid here; expected true or false"),
        ("denoise", {"model": "nothing"}, 422, "Unknown model 'nothing'"),
        ("denoise", {"model": "deblock-color"}, 422, "Cannot use deblock-color for denoise"),
        ("denoise", {"model": __file__}, 422, "Unknown model"),
        ("denoise", {"model": "https://example.com/a.safetensors"}, 422, "Unknown model"),
        ("denoise", {"mask": b"text"}, 422, "photo.png: mask: Cannot read mask: it is not a"),
        ("denoise", {"mask": png((9, 9))}, 422, "Cannot use the mask mask: it has 9 x 9 pixels"),
        ("denoise", {"data": b"text"}, 400, "Cannot read photo.png: it is not a PNG"),
        ("denoise", {"data": png()[:-40]}, 400, "Cannot read photo.png: the file is"),
        ("denoise", {"data": b""}, 400, "Cannot read photo.png: the file is empty"),
        ("auto", {"only": "denoise,nothing"}, 422, "'nothing' is not a valid task"),
        ("auto", {"strength": "1"}, 422, "Unknown option 'strength' of auto"),
        ("inpaint", {}, 422, "Cannot inpaint: no area is given"),
        ("inpaint", {"box": "1,2,3"}, 422, "'1,2,3' is not a valid box"),
        ("inpaint", {"box": "1,2,3," + "4" * 5000}, 422, "is not a valid box"),
        ("sr", {"size": "9" * 5000 + "x"}, 422, "is not a valid size"),
        ("derain", {"model": "prenet-rain100h"}, 403, "without your consent"),
        ("sr", {"scale": "9"}, 422, "9 is not a valid scale"),
        ("sr", {"size": "200x"}, 422, "the limit is 8 times"),
        ("sharpen", {}, 404, "nothing at this address"),
    ],
)
def test_errors(
    serve: Serve, folder: Path, task: str, form: dict[str, Any], status: int, words: str
) -> None:
    answer = post(serve(), task, **form)
    assert (answer.status_code, [*answer.json()]) == (status, ["error"])
    assert words in answer.json()["error"]
    assert str(folder) not in answer.text and not [*folder.iterdir()]


def test_requests_that_are_no_upload(serve: Serve) -> None:
    client = serve()
    plain = client.post("/v1/denoise", content=png(), headers={"content-type": "image/png"})
    assert (plain.status_code, plain.json()["error"][:21]) == (415, "Cannot read image/png")
    text = client.post("/v1/denoise", data={"photo": "/etc/passwd"}, files={"x": b""})
    assert text.status_code == 422
    missing = client.post("/v1/denoise", files={"mask": ("mask.png", png())})
    assert (missing.status_code, missing.json()["error"][:12]) == (422, "The photo is")
    assert post(client, params={"wait": "maybe"}).json()["error"].startswith("wait: ")
    query = post(client, params={"sigma": "30"})
    assert query.status_code == 422 and "Send it in the form: -F sigma=VALUE" in query.text
    keep = post(client, params={"keep": "true"})
    assert keep.json()["error"] == "Cannot use keep in this address. Leave it out."
    get = client.get("/v1/denoise")
    assert (get.status_code, get.headers["allow"]) == (405, "POST")
    assert "its method is not allowed here" in get.json()["error"]


def test_formats_that_are_only_read(serve: Serve) -> None:
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(png())) as image:
        image.save(buffer, "GIF")
    for options, extension in (({}, "png"), ({"format": "webp"}, "webp")):
        answer = post(serve(), data=buffer.getvalue(), name="photo.gif", sigma="9", **options)
        assert answer.status_code == 200, answer.text
        assert f'"photo.denoised.{extension}"' in answer.headers["content-disposition"]


# Limits


def test_uploads_and_photos_are_limited(serve: Serve) -> None:
    client = serve(max_upload=2000, max_pixels=1000)
    large = post(client, data=bytes(3000))
    assert large.status_code == 413 and "more than 0.002 MB" in large.json()["error"]
    chunked = client.post("/v1/denoise", content=iter([b"a", b"b"]))
    assert chunked.status_code == 411
    wide = post(client, data=png((101, 10), sigma=0))
    assert wide.status_code == 413 and "megapixels, above the limit of 0.001" in wide.text
    enlarged = post(client, "sr", data=png((24, 20), sigma=0), scale="4")
    assert enlarged.status_code == 413 and "the result would have" in enlarged.json()["error"]


def test_a_folder_that_was_removed_is_made_again(serve: Serve, folder: Path, instant: None) -> None:
    client = serve(max_jobs=2)
    folder.rmdir()
    for _ in range(3):
        assert post(client).status_code == 200


def test_a_full_disk_is_reported(
    serve: Serve, instant: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    client = serve(max_jobs=2)
    with monkeypatch.context() as full:
        full.setattr("restore_cli.serve.upload._save", fail)
        for _ in range(3):
            answer = post(client)
            assert answer.status_code == 507 and "disk of the server is full" in answer.text
    assert post(client).status_code == 200


def test_a_full_server_asks_to_try_again(serve: Serve, stuck: threading.Event) -> None:
    client = serve(max_jobs=2)
    first, second = (post(client, params={"wait": False}).json() for _ in range(2))
    assert (second["state"], second["before"]) == ("waiting", 1)
    full = post(client)
    assert full.status_code == 503 and int(full.headers["retry-after"]) > 0
    early = client.get(f"/v1/jobs/{first['id']}/result")
    assert early.status_code == 409 and "running" in early.json()["error"]
    assert client.delete(f"/v1/jobs/{second['id']}").status_code == 204
    third = post(client, params={"wait": False})
    stuck.set()
    assert finish(client, third.json()["id"])["state"] == "done"


def test_a_photo_can_be_deleted_while_it_is_restored(
    serve: Serve, folder: Path, stuck: threading.Event
) -> None:
    client = serve()
    id = post(client, params={"wait": False}).json()["id"]
    assert client.delete(f"/v1/jobs/{id}").status_code == 204
    assert client.get(f"/v1/jobs/{id}").status_code == 404
    while [*folder.iterdir()]:
        time.sleep(0.01)
    assert not stuck.is_set()  # the work has ended before


@pytest.mark.usefixtures("stuck")
def test_a_photo_is_deleted_if_its_client_leaves(serve: Serve, folder: Path) -> None:
    request = serve().build_request("POST", "/v1/denoise", files={"photo": ("a.png", png())})
    headers = [(key.encode(), value.encode()) for key, value in request.headers.items()]
    scope = {"type": "http", "method": "POST", "path": "/v1/denoise", "query_string": b""}
    messages = [{"type": "http.request", "body": request.read()}]

    async def receive() -> dict[str, Any]:
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    statuses: list[int] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        if "status" in message:
            statuses.append(message["status"])
        assert [*folder.iterdir()] or statuses == [410]  # the client left before the result

    asyncio.run(app.create_app(Config(), folder)(scope | {"headers": headers}, receive, send))
    while [*folder.iterdir()]:
        time.sleep(0.01)


@pytest.mark.usefixtures("instant")
def test_finished_photos_are_deleted_after_a_while(serve: Serve, folder: Path) -> None:
    client = serve(keep=0.3)
    id = post(client, params={"wait": False}).json()["id"]
    finish(client, id)
    while [*folder.iterdir()]:
        time.sleep(0.05)
    assert client.get(f"/v1/jobs/{id}").status_code == 404


@pytest.mark.usefixtures("stuck")
def test_a_long_restoration_is_answered_with_a_job(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "WAIT_SECONDS", 0.1)
    assert post(serve()).status_code == 202


# Strangers


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "localhost:8000"}, 200),
        ({"host": "[::1]:8000"}, 200),
        ({"host": "evil.example"}, 421),
        ({"host": "127.0.0.1.evil.example:8000"}, 421),
        ({"host": "192.168.1.2:8000"}, 421),
        ({"host": ""}, 421),
        ({"origin": ADDRESS}, 200),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "http://127.0.0.1:8001"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"sec-fetch-site": "none"}, 200),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, 403),
    ],
)
@pytest.mark.usefixtures("instant")
def test_other_sites_are_refused(serve: Serve, headers: dict[str, str], status: int) -> None:
    client = serve()
    assert post(client, headers=headers).status_code == status
    assert client.get("/openapi.json", headers=headers).status_code == status


def test_a_link_may_lead_to_the_page(serve: Serve) -> None:
    headers = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert serve().get("/", headers=headers).status_code == 200


@pytest.mark.usefixtures("instant")
def test_a_token_is_needed(serve: Serve) -> None:
    client = serve(token="secret")
    for headers in ({}, {"authorization": "Bearer wrong"}, {"cookie": "restore_token=wrong"}):
        refused = client.get("/", headers=headers)
        assert refused.status_code == 401 and "needs a token" in refused.json()["error"]
    for scheme in ("Bearer", "bearer"):
        assert post(client, headers={"authorization": f"{scheme} secret"}).status_code == 200
    assert client.get("/?token=wrong").status_code == 401
    named = client.get("/?token=secret", headers={"host": "nas.local"}, follow_redirects=False)
    assert (named.status_code, named.headers["location"]) == (303, "/")
    cookie = named.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie
    assert client.get("/?token=secret").status_code == 200  # the cookie is sent by itself
    assert serve(token="a+b/c=").get("/?token=a+b/c=").status_code == 200
    assert post(client).status_code == 200
    assert post(client, headers={"origin": "https://evil.example"}).status_code == 403


@pytest.mark.parametrize(
    "path",
    ["/v1/jobs/..%2f..%2fetc/result", "/v1/jobs/x", "/assets/..%2fpage.html.j2", "/assets/x"],
)
def test_no_path_of_the_machine_can_be_reached(serve: Serve, path: str) -> None:
    assert serve().get(path).status_code == 404


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("photo.jpg", "photo.jpg"),
        ("../../etc/passwd", "passwd"),
        ("C:\\photos\\a.png", "a.png"),
        ("/", "photo"),
        ("..", "photo"),
        (None, "photo"),
        ('a"\r\nSet-Cookie: b', "a___Set-Cookie_ b"),
        ("a" * 300 + ".png", "a" * 100 + ".png"),
        ("Größe 1.png", "Größe 1.png"),
        ("gpj.\u202eexe", "gpj._exe"),
    ],
)
def test_names_of_uploads_are_cleaned(name: str | None, expected: str) -> None:
    assert clean_name(name) == expected


def test_every_answer_has_headers_that_protect_the_browser(serve: Serve) -> None:
    client = serve()
    for path in ("/", "/docs", "/openapi.json", "/assets/serve.js", "/nothing"):
        headers = client.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in headers


# The command


def test_the_limits_are_options(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Config] = []

    def refuse(config: Config, folder: Path) -> None:
        given.append(config)
        raise UsageError("Cannot serve.")

    monkeypatch.setattr("restore_cli.serve.app.create_app", refuse)
    words = ["serve", "--port", "0", "--keep", "2", "--max-upload", "3", "--max-jobs", "4"]
    CliRunner().invoke(cli, words)
    [config] = given
    assert (config.keep, config.max_upload, config.max_jobs) == (120, 3_000_000, 4)


@pytest.mark.weights
def test_the_command(tmp_path: Path) -> None:
    """It serves until it is stopped, and answers the requests of docs/serve.md."""
    kept, work = tmp_path / "kept", tmp_path / "work"
    kept.mkdir()
    work.mkdir()
    for name in ("photo.jpg", "mask.png"):
        Image.radial_gradient("L").resize((48, 40)).save(work / name)
    text = (ROOT / "docs" / "serve.md").read_text(encoding="utf-8")
    requests = re.findall(r"^(curl -F .*?)(?: +#.*)?$", text, re.MULTILINE)
    assert len(requests) == 4
    command = [sys.executable, "-m", "restore_cli", "serve", "--port", "0", "--offline"]
    environment = os.environ | {"TMPDIR": str(kept), "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=environment, text=True, stdout=-1, stderr=-1) as process:
        assert process.stdout and process.stderr
        address = process.stdout.readline().strip()
        assert address.startswith("http://127.0.0.1:")
        if not shutil.which("curl"):
            pytest.skip("curl is not installed")
        for request in requests:
            words = shlex.split(request.replace("http://127.0.0.1:8000/", address))
            subprocess.run([*words, "--fail", "--silent", "--show-error"], cwd=work, check=True)
        for made in work.glob("*.*"):
            assert read_picture(made).width == (144 if made.stem == "large" else 48)
        assert len([*kept.iterdir()]) == 1
        process.send_signal(signal.SIGINT)
        assert process.wait(120) == 130
        assert not [*kept.iterdir()]
        assert "The server stopped, and its photos are deleted." in process.stderr.read()


def refusal(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli, ["serve", *words])
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
    return result.exit_code, result.stderr


def test_what_the_command_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    code, text = refusal("--host", "0.0.0.0")
    assert code == 2 and "without a token" in text
    code, text = refusal("--token", "größe")
    assert code == 2 and "Cannot use this token" in text
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, text = refusal("--port", str(taken.getsockname()[1]))
    assert code == 1 and "Cannot listen on 127.0.0.1" in text
    code, text = refusal("--host", "nowhere.invalid", "--token", "a")
    assert code == 1 and "Cannot listen on nowhere.invalid" in text
    monkeypatch.setitem(sys.modules, "fastapi", None)
    code, text = refusal()
    assert code == 2 and "pip install 'restore-cli[serve]'" in text


def test_the_pages_load_nothing_from_elsewhere() -> None:
    for text in (pages.render_page(1), *map(html.asset, pages.ASSETS)):
        assert "http:" not in text and "https:" not in text and '"//' not in text
