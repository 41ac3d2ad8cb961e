"""The HTTP API: one address for each task, jobs and their results, and the page that uses them."""

from __future__ import annotations

import asyncio
import errno
import json
import secrets
import time
import traceback
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException as AnyHTTPException
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

from restore_cli import __version__
from restore_cli.errors import RestoreError, UsageError
from restore_cli.report.html import asset, render_comparisons
from restore_cli.serve import pages
from restore_cli.serve.config import Config
from restore_cli.serve.guard import Guard, refuse
from restore_cli.serve.jobs import FullError, Job, Jobs
from restore_cli.serve.options import Action, actions, schema_of
from restore_cli.serve.upload import receive
from restore_cli.serve.work import Outcome, compare, status_of

WAIT_SECONDS = 30.0  # proxies often give up after 60
_POLL_SECONDS = 0.5  # how often a waiting client is checked
_EXPIRE_SECONDS = 5.0  # how often finished photos are checked
_RETRY = {"Retry-After": "5"}
_SENTENCE = {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}}
_ERROR = {"application/json": {"schema": _SENTENCE}}
_ERRORS = (
    AnyHTTPException,
    RequestValidationError,
    RestoreError,
    FullError,
    ClientDisconnect,
    OSError,
    Exception,
)

Wait = Annotated[
    bool,
    Query(
        description="Answer with the result, if it is there within 30 seconds; otherwise, and with"
        " wait=false, answer 202 with a job."
    ),
]
Keep = Annotated[bool, Query(description="Do not delete the photo after the result was fetched.")]


def create_app(config: Config, folder: Path) -> Guard:
    """Create the ASGI application.

    Args:
        config: how to serve.
        folder: holds uploads and results; the caller deletes it.
    """
    jobs = Jobs(folder, config.max_jobs, config.keep)

    @asynccontextmanager
    async def live(_: FastAPI) -> AsyncIterator[None]:
        async def expire() -> None:
            while True:
                await asyncio.sleep(min(config.keep, _EXPIRE_SECONDS))
                jobs.expire()

        expiring = asyncio.create_task(expire())
        try:
            yield
        finally:
            expiring.cancel()
            jobs.close()

    app = FastAPI(
        title="restore",
        version=__version__,
        summary="Restore damaged photos.",
        docs_url=None,  # FastAPI's pages load scripts from other servers
        redoc_url=None,
        responses={code: {"description": "An error.", "content": _ERROR} for code in ("4XX", "5XX")}
        | {422: {"description": "An option or mask is invalid.", "content": _ERROR}},
        lifespan=live,
    )
    for kind in _ERRORS:
        app.add_exception_handler(kind, _answer_error)
    for action in actions().values():
        _add_action(app, action, jobs, config)
    _add_jobs(app, jobs, folder)
    _add_pages(app, config)
    return Guard(app, config.token, config.max_upload)


async def _answer_error(_: Request, error: Exception) -> Response:
    match error:
        case OSError(errno=errno.ENOSPC | errno.EDQUOT):
            return refuse(507, "Cannot store the files: the disk of the server is full.")
        case FullError():
            sentence = "The server is full. Fetch or delete results, or try again later."
            return refuse(503, sentence, **_RETRY)
        case ClientDisconnect():
            return refuse(400, "The upload was interrupted.")
        case RestoreError():
            return refuse(status_of(error), str(error))
        case RequestValidationError():
            return refuse(
                422, "; ".join(f"{one['loc'][-1]}: {one['msg']}" for one in error.errors())
            )
        case AnyHTTPException(detail="Method Not Allowed"):
            sentence = "Cannot answer this request: its method is not allowed here. See /docs."
            return refuse(error.status_code, sentence, **(error.headers or {}))
        case AnyHTTPException(detail="Not Found"):
            sentence = "Cannot answer this request: there is nothing at this address. See /docs."
            return refuse(error.status_code, sentence, **(error.headers or {}))
        case AnyHTTPException():
            return refuse(error.status_code, error.detail, **(error.headers or {}))
    traceback.print_exception(error)
    return refuse(500, f"Unexpected {type(error).__name__}. Please report it.")


def _add_action(app: FastAPI, action: Action, jobs: Jobs, config: Config) -> None:
    """Add the address where photos are restored in one way."""
    form = {"multipart/form-data": {"schema": schema_of(action)}}

    @app.post(
        f"/v1/{action.name}",
        summary=action.summary,
        operation_id=action.name,
        openapi_extra={"requestBody": {"required": True, "content": form}},
        response_class=Response,
        responses={
            200: {"description": "The restored photo.", "content": {"image/*": {}}},
            202: {"description": "A job, whose address is in Location."},
        },
    )
    async def restore(request: Request, wait: Wait = True) -> Response:
        if unknown := request.query_params.keys() - {"wait"}:
            name = min(unknown)
            form = f"Send it in the form: -F {name}=VALUE." if name in action.options else ""
            raise UsageError(f"Cannot use {name} in this address. {form or 'Leave it out.'}")
        with jobs.receive() as folder:
            job = jobs.add(await receive(request, action, folder, config))
        if wait:
            await _wait(request, jobs, job)
        if job.canceled:
            raise HTTPException(410, "This photo was deleted.")
        if outcome := job.outcome if wait else None:
            return _send(outcome, job, jobs)
        place = f"/v1/jobs/{job.id}"
        return JSONResponse(_describe(job, jobs), 202, {"Location": place, **_RETRY})


async def _wait(request: Request, jobs: Jobs, job: Job) -> None:
    """Wait until a job is done, but not for long; if the client leaves, delete the job."""
    end = time.monotonic() + WAIT_SECONDS
    done = asyncio.Event()
    loop = asyncio.get_running_loop()
    job.future.add_done_callback(lambda _: loop.call_soon_threadsafe(done.set))
    while not done.is_set() and time.monotonic() < end:
        with suppress(TimeoutError):
            await asyncio.wait_for(done.wait(), _POLL_SECONDS)
        if await request.is_disconnected():
            jobs.remove(job)
            break


class _Result(FileResponse):
    """A file that is sent in one piece; `on_sent` is called if the client stays until the end."""

    def __init__(
        self, path: Path, on_sent: Callable[[], Awaitable[None]] | None, **settings: Any
    ) -> None:
        super().__init__(path, **settings)
        self._on_sent = on_sent
        del self.headers["accept-ranges"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the file, also if the client requests a part of it."""
        left, sent = 0, False

        async def watch(message: Message) -> None:
            nonlocal left, sent
            if message["type"] == "http.response.start":
                left = int(self.headers["content-length"])
            else:
                left -= len(message.get("body", b""))
            last = not left and message["type"] == "http.response.body"
            if last and not sent and not await Request(scope, receive).is_disconnected():
                sent = True
                if self._on_sent:
                    await self._on_sent()  # before the client can ask for the result again
            await send(message)

        headers = [pair for pair in scope["headers"] if pair[0] not in (b"range", b"if-range")]
        await super().__call__({**scope, "headers": headers}, receive, watch)
        if sent and self._on_sent:
            await self._on_sent()  # Windows cannot delete a file before it is closed


def _send(outcome: Outcome, job: Job, jobs: Jobs, keep: bool = False) -> Response:
    """The result of a job; it is deleted once it was sent."""
    if outcome.status != 200:
        answer = refuse(outcome.status, outcome.record.error or "")
        answer.background = None if keep else BackgroundTask(jobs.forget, job)
        return answer
    return _Result(
        job.order.result,
        on_sent=None if keep else partial(jobs.forget, job),
        media_type=outcome.media_type,
        filename=outcome.name,
        headers={"Restore-Record": json.dumps(json.loads(outcome.record.to_json()))},  # ASCII
    )


def _describe(job: Job, jobs: Jobs) -> dict[str, Any]:
    """A job as JSON."""
    plain: dict[str, Any] = {
        "id": job.id,
        "name": job.order.name,
        "state": job.state,
        "before": jobs.count_before(job),
        "progress": round(job.progress, 3),
    }
    if outcome := job.outcome:
        plain |= {"status": outcome.status, "record": json.loads(outcome.record.to_json())}
    return plain


def _add_jobs(app: FastAPI, jobs: Jobs, folder: Path) -> None:
    """Add the addresses of jobs and their results."""
    comparing = asyncio.Lock()  # a comparison takes as much memory as a restoration

    def find(id: str) -> Job:
        if job := jobs.find(id):
            return job
        raise HTTPException(404, f"Cannot find job {id}: it was fetched, deleted or too old.")

    def finish(id: str) -> tuple[Job, Outcome]:
        job = find(id)
        if job.outcome:
            return job, job.outcome
        raise HTTPException(409, f"Cannot fetch job {id}: it is {job.state}. Try again.", _RETRY)

    @app.get("/v1/jobs/{id}", summary="Show what happens to a photo.")
    async def show(id: str) -> dict[str, Any]:
        return _describe(find(id), jobs)

    @app.delete("/v1/jobs/{id}", summary="Delete a photo and its result.", status_code=204)
    async def delete(id: str) -> None:
        jobs.remove(find(id))

    @app.get(
        "/v1/jobs/{id}/result",
        summary="Fetch a restored photo, which deletes it on the server.",
        response_class=Response,
    )
    async def fetch(id: str, keep: Keep = False) -> Response:
        job, outcome = finish(id)
        return _send(outcome, job, jobs, keep)

    @app.get("/v1/results.zip", summary="Fetch several results.", response_class=Response)
    async def fetch_all(id: Annotated[list[str], Query(description="The jobs.")]) -> Response:
        finished = [finish(one) for one in dict.fromkeys(id)]
        found = [(job, outcome) for job, outcome in finished if outcome.status == 200]
        if not found:
            _, outcome = finished[0]
            return refuse(outcome.status, outcome.record.error or "")
        path = folder / f"{secrets.token_hex(8)}.zip"
        try:
            await run_in_threadpool(_pack, path, found)
        except OSError:
            path.unlink(missing_ok=True)
            raise
        delete = BackgroundTask(path.unlink)
        return _Result(path, None, filename="restored.zip", background=delete)

    @app.get("/v1/jobs/{id}/comparison", include_in_schema=False)
    async def show_comparison(id: str) -> Response:
        job, outcome = finish(id)
        if outcome.status != 200:
            return refuse(outcome.status, outcome.record.error or "")
        async with comparing:
            html = await run_in_threadpool(
                lambda: render_comparisons(job.order.name, [compare(job.order)])
            )
        policy = "frame-ancestors 'self'"  # the page itself forbids everything else
        return HTMLResponse(html, headers={"Content-Security-Policy": policy})


def _pack(path: Path, found: list[tuple[Job, Outcome]]) -> None:
    """Write a ZIP file with the results, whose names are all different."""
    taken: set[str] = set()
    with zipfile.ZipFile(path, "w") as pack:
        for job, outcome in found:
            stem, dot, extension = outcome.name.rpartition(".")
            name, number = outcome.name, 1
            while name.lower() in taken:
                number += 1
                name = f"{stem} ({number}){dot}{extension}"
            taken.add(name.lower())
            pack.write(job.order.result, name)


def _add_pages(app: FastAPI, config: Config) -> None:
    """Add the pages for people."""

    @app.get("/", include_in_schema=False)
    async def show_page() -> HTMLResponse:
        return HTMLResponse(pages.render_page(config.max_upload), headers=pages.HEADERS)

    @app.get("/docs", include_in_schema=False)
    async def show_docs(request: Request) -> HTMLResponse:
        html = pages.render_docs(app.openapi(), str(request.base_url))
        return HTMLResponse(html, headers=pages.HEADERS)

    @app.get("/assets/{name}", include_in_schema=False)
    async def show_asset(name: str) -> Response:
        if name in pages.ASSETS:
            return Response(asset(name), media_type=pages.ASSETS[name])
        raise HTTPException(404, "Not Found")
