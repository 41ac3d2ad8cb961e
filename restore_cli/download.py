"""Downloads files from the Hugging Face hub or from a URL, and resumes interrupted downloads."""

from __future__ import annotations

import logging
import os
import re
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException, HTTPMessage
from pathlib import Path, PurePosixPath
from typing import IO, Any
from urllib.parse import urlsplit

Progress = Callable[[int, int], None]  # bytes done; total bytes, 0 if unknown

_TIMEOUT = 30  # seconds without a byte
_MAX_BYTES = 4 * 2**30  # of a file with an unknown size
_TRUE = {"1", "ON", "YES", "TRUE"}  # as in huggingface-hub


@dataclass(frozen=True)
class Hub:
    """A file in a repository on the Hugging Face hub (or HF_ENDPOINT), at a commit.

    Attributes:
        repo, revision, file: "owner/name", the commit, the file's path in the repository.
        kind: kind of repository, "model" or "dataset".
    """

    repo: str
    revision: str
    file: str
    kind: str = "model"

    def __str__(self) -> str:
        return f"{self.file} of {self.repo} at {self.revision} on the Hugging Face hub"

    @property
    def site(self) -> str:
        """Where it is, in a few words."""
        return f"{self.repo} on the Hugging Face hub"

    @property
    def file_name(self) -> str:
        """The path of the file within the repository."""
        return self.file

    def problem(self) -> str:
        """Why it cannot be relied on, or nothing."""
        if self.kind not in ("model", "dataset"):
            return f"the kind of repository must be model or dataset, not {self.kind!r}"
        if not re.fullmatch("[0-9a-f]{40}", self.revision):
            return "the revision must be a full commit hash"
        return ""


@dataclass(frozen=True)
class Url:
    """A file behind an https URL."""

    url: str

    def __str__(self) -> str:
        return self.url

    @property
    def site(self) -> str:
        """Where it is, in a few words."""
        return urlsplit(self.url).netloc

    @property
    def file_name(self) -> str:
        """The name of the file."""
        return PurePosixPath(urlsplit(self.url).path).name

    def problem(self) -> str:
        """Why it cannot be relied on, or nothing."""
        url = urlsplit(self.url)
        if url.scheme != "https" and url.hostname not in ("127.0.0.1", "localhost"):
            return f"the URL must be https, not {self.url}"
        return ""


def is_offline(requested: bool) -> bool:
    """Whether downloads are forbidden, by the caller or by HF_HUB_OFFLINE."""
    return requested or os.environ.get("HF_HUB_OFFLINE", "").upper() in _TRUE


class RefusedError(Exception):
    """A server's response is refused; nothing of it is stored."""


def download(
    source: Hub | Url, path: Path, progress: Progress | None = None, *, largest: int | None = None
) -> None:
    """Download a file, and move it to its path only when it is complete.

    Args:
        source: the file to download.
        path: the target, which ends with the source's `file_name`. A partial download may remain
            next to it for a later call to resume.
        progress: called during the download.
        largest: the largest allowed size in bytes; None if the size is not known.

    Raises:
        ConnectionError: the download failed, or the file is too large; the message has no final
            period.
    """
    from filelock import FileLock

    def check(done: int, total: int) -> None:
        """Stop a file that is too large before its data are written."""
        if max(done, total) > (largest or _MAX_BYTES):
            raise RefusedError(
                f"the server sends more than the allowed {largest or _MAX_BYTES:,} bytes"
            )
        if progress:
            progress(done, total)

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(f".{path.name}.lock")):
            if path.exists():  # another process downloaded it meanwhile
                return
            if isinstance(source, Hub):
                _from_hub(source, path, check)
            else:
                _from_url(source.url, path, check)
    except RefusedError as error:
        raise ConnectionError(str(error)) from error
    except Exception as error:  # the hub's client also raises errors of its HTTP library
        reason = " ".join(f"{type(error).__name__}: {error}".split()).rstrip(".")
        raise ConnectionError(reason) from error


def _from_hub(hub: Hub, path: Path, progress: Progress) -> None:
    """Download with the hub's client: anonymously, over plain HTTP, which it can resume."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # read when the client is imported
    os.environ.setdefault("HF_HUB_DISABLE_XET", "1")  # has its own cache and cannot resume
    import huggingface_hub

    class Bar:
        """Replaces tqdm, which would draw on stderr."""

        def __init__(self, *, total: int | None = None, initial: int = 0, **_: object) -> None:
            self.done, self.total = initial, total or 0
            progress(self.done, self.total)

        def __enter__(self) -> Bar:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def update(self, count: int) -> None:
            self.done += count
            progress(self.done, self.total)

    fetch = huggingface_hub.hf_hub_download  # this lazy import sets the level of the logger
    folder = path.parents[len(PurePosixPath(hub.file).parts) - 1]
    endpoint = os.environ.get("HF_ENDPOINT") or None
    try:
        with (
            _silence("huggingface_hub"),
            _guard(huggingface_hub.get_session(), endpoint or "https:"),
        ):
            fetch(
                hub.repo,
                hub.file,
                revision=hub.revision,
                repo_type=hub.kind,
                local_dir=folder,
                # Always empty: a damaged file from the user's cache would come back.
                cache_dir=path.parent / "hub",
                endpoint=endpoint,
                token=False,
                tqdm_class=Bar,
            )
    except RefusedError:
        # Otherwise the client would resume this download.
        shutil.rmtree(folder / ".cache", ignore_errors=True)
        raise


@contextmanager
def _guard(session: Any, endpoint: str) -> Iterator[None]:
    """Allow the hub's client https redirects only, except for the endpoint that the user chose."""
    chosen = urlsplit(endpoint)

    def check(request: Any) -> None:
        url = urlsplit(str(request.url))
        if url.scheme != "https" and (url.scheme, url.netloc) != (chosen.scheme, chosen.netloc):
            raise RefusedError(f"the server redirects to {request.url}, which is not https")

    hooks = session.event_hooks
    session.event_hooks = {**hooks, "request": [*hooks["request"], check]}
    try:
        yield
    finally:
        session.event_hooks = hooks


@contextmanager
def _silence(name: str) -> Iterator[None]:
    """Silence a package's warnings about connections that it retries."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


def _from_url(url: str, path: Path, progress: Progress) -> None:
    """Download into a .part file, and resume it after a lost connection or in a later call."""
    part = path.with_name(f"{path.name}.part")
    part.touch()
    while True:
        before = part.stat().st_size
        try:
            _append(url, part, progress)
        except (ConnectionError, TimeoutError, HTTPException):
            if part.stat().st_size <= before:
                raise
        except RefusedError:
            part.unlink()
            raise
        else:
            break
    part.replace(path)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects from https to https only."""

    def redirect_request(
        self,
        request: urllib.request.Request,
        answer: IO[bytes],
        code: int,
        words: str,
        headers: HTTPMessage,
        url: str,
    ) -> urllib.request.Request | None:
        if urlsplit(url).scheme != "https" and (request.type == "https" or Url(url).problem()):
            raise RefusedError(f"the server redirects to {url}, which is not https")
        return super().redirect_request(request, answer, code, words, headers, url)


def _append(url: str, part: Path, progress: Progress) -> None:
    """Download the missing rest of a file; its sha256 later shows whether the parts match."""
    size = part.stat().st_size
    request = urllib.request.Request(url, headers={"Range": f"bytes={size}-"} if size else {})
    try:
        response = urllib.request.build_opener(_Redirects).open(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 416 and size:  # the file was complete
                return
            raise
    resumed = response.status == 206
    with response, part.open("ab" if resumed else "wb") as file:
        done = size if resumed else 0
        length = response.headers["Content-Length"]
        total = done + int(length) if length else 0
        progress(done, total)
        while chunk := response.read(1 << 18):
            done += len(chunk)
            progress(done, total)
            file.write(chunk)
    if done < total:
        raise ConnectionError(f"the connection was lost after {done} of {total} bytes")
