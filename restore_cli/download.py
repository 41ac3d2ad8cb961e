"""Files from the web: from the Hugging Face hub by its client, from elsewhere by URL; resumed when
cut.
"""

from __future__ import annotations

import hashlib
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

Progress = Callable[[int, int], None]  # bytes done; bytes in all, 0 if the server does not say

_TIMEOUT = 30  # seconds without a byte
_MAX_BYTES = 4 * 2**30  # bytes of a file whose size no table gives
_TRUE = {"1", "ON", "YES", "TRUE"}  # as huggingface-hub reads its variables


@dataclass(frozen=True)
class Hub:
    """A file of a repository on the Hugging Face hub (or HF_ENDPOINT), at a commit.

    Attributes:
        repo, revision, file: "owner/name", the commit, the file's path in the repository.
        kind: of repository, "model" or "dataset".
    """

    repo: str
    revision: str
    file: str
    kind: str = "model"

    def __str__(self) -> str:
        return f"{self.file} of {self.repo} at {self.revision} on the Hugging Face hub"

    @property
    def file_name(self) -> str:
        """What the file is called, with the repository's folders."""
        return self.file

    def problem(self) -> str:
        """Why it cannot be relied on, or nothing."""
        if self.kind not in ("model", "dataset"):
            return f"a repository is a model or a dataset, not {self.kind!r}"
        if not re.fullmatch("[0-9a-f]{40}", self.revision):
            return "the revision must be a full commit, so that it cannot move"
        return ""


@dataclass(frozen=True)
class Url:
    """A file behind an https URL."""

    url: str

    def __str__(self) -> str:
        return self.url

    @property
    def file_name(self) -> str:
        """What the file is called."""
        return PurePosixPath(urlsplit(self.url).path).name

    def problem(self) -> str:
        """Why it cannot be relied on, or nothing."""
        url = urlsplit(self.url)
        if url.scheme != "https" and url.hostname not in ("127.0.0.1", "localhost"):
            return f"the URL must be https, not {self.url}"
        return ""


def is_offline(asked: bool) -> bool:
    """Whether nothing may be downloaded: because it was asked for, or by HF_HUB_OFFLINE."""
    return asked or os.environ.get("HF_HUB_OFFLINE", "").upper() in _TRUE


def sha256_of(path: Path) -> str:
    """A file's sha256, 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class RefusedError(Exception):
    """What a server offers is not taken; nothing of it is kept."""


def download(
    source: Hub | Url, path: Path, progress: Progress | None = None, *, largest: int | None = None
) -> None:
    """Put a file to its place, in one step once it is whole.

    Args:
        path: where to; it ends with the source's `file_name`. Beside it may stay what a later call
            resumes.
        progress: called while downloading.
        largest: bytes that the file may have; None where that is not known.

    Raises:
        ConnectionError: it cannot be had, or is larger; says why, without a full stop.
    """

    def check(done: int, total: int) -> None:
        """Take note of what has come, which is never written beyond what the file may have."""
        if max(done, total) > (largest or _MAX_BYTES):
            raise RefusedError(
                f"the server sends more than the {largest or _MAX_BYTES:,} bytes that the file may"
                " have"
            )
        if progress:
            progress(done, total)

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(source, Hub):
            _from_hub(source, path, check)
        else:
            _from_url(source.url, path, check)
    except RefusedError as error:
        raise ConnectionError(str(error)) from error
    except Exception as error:  # the hub's client also raises what its HTTP library does
        reason = " ".join(f"{type(error).__name__}: {error}".split()).rstrip(".")
        raise ConnectionError(reason) from error


def _from_hub(hub: Hub, path: Path, progress: Progress) -> None:
    """Through the hub's client: anonymously, over plain HTTP, which it resumes when the connection
    is cut.
    """
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # read when the client is imported
    os.environ.setdefault("HF_HUB_DISABLE_XET", "1")  # keeps a cache of its own and cannot resume
    import huggingface_hub

    class Bar:
        """Takes the place of tqdm, which would draw on stderr."""

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

    fetch = huggingface_hub.hf_hub_download  # the lazy import that this is sets the logger's level
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
                # Never filled: a damaged file of the user's would come back.
                cache_dir=path.parent / "hub",
                endpoint=endpoint,
                token=False,
                tqdm_class=Bar,
            )
    except RefusedError:
        # The client would resume what has come.
        shutil.rmtree(folder / ".cache", ignore_errors=True)
        raise


@contextmanager
def _guard(session: Any, endpoint: str) -> Iterator[None]:
    """Let the hub's client go where it is led by https only, but for the endpoint that the user
    chose.
    """
    chosen = urlsplit(endpoint)

    def check(request: Any) -> None:
        url = urlsplit(str(request.url))
        if url.scheme != "https" and (url.scheme, url.netloc) != (chosen.scheme, chosen.netloc):
            raise RefusedError(f"the server leads to {request.url}, which is not https")

    hooks = session.event_hooks
    session.event_hooks = {**hooks, "request": [*hooks["request"], check]}
    try:
        yield
    finally:
        session.event_hooks = hooks


@contextmanager
def _silence(name: str) -> Iterator[None]:
    """Keep a package's warnings, of connections that it tries again, from stderr."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


def _from_url(url: str, path: Path, progress: Progress) -> None:
    """Into a .part file, which a cut connection or a later call goes on with."""
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
    """Follows a server from https to https only."""

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
            raise RefusedError(f"the server leads to {url}, which is not https")
        return super().redirect_request(request, answer, code, words, headers, url)


def _append(url: str, part: Path, progress: Progress) -> None:
    """Fetch what the file lacks. Whether the server's file is still the same, its sha256 tells."""
    size = part.stat().st_size
    request = urllib.request.Request(url, headers={"Range": f"bytes={size}-"} if size else {})
    try:
        response = urllib.request.build_opener(_Redirects).open(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 416 and size:  # nothing follows: it was whole
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
        raise ConnectionError(f"the connection was cut after {done} of {total} bytes")
