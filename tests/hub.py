"""A Hugging Face hub, and a plain web server, on loopback: what the real client and urllib see of
them.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Hub(ThreadingHTTPServer):
    """Serves `files` by path: `/REPO/resolve/REVISION/FILE` as the hub does, all others as they
    are.

    Repositories of data are below `/datasets`.

    Attributes:
        files: path to content.
        cuts: path to how many bytes of each of the next answers go through before the connection
            breaks.
        endless: paths whose answers do not say how long they are.
        redirects: path to the URL that it leads to.
        requests: "METHOD PATH RANGE" of all that came.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.cuts: dict[str, list[int]] = {}
        self.endless: set[str] = set()
        self.redirects: dict[str, str] = {}
        self.requests: list[str] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


def revision(path: str) -> str:
    return path.partition("/resolve/")[2].partition("/")[0]


class Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        body = self.answer()
        cuts = self.server.cuts.get(self.path, [])
        self.wfile.write(body[: cuts.pop(0)] if cuts else body)
        self.close_connection = True

    def answer(self) -> bytes:
        span = self.headers.get("Range", "")
        self.server.requests.append(f"{self.command} {self.path} {span}".rstrip())
        if self.path in self.server.redirects:
            self.send_response(302)
            self.send_header("Location", self.server.redirects[self.path])
            self.send_header("Content-Length", "0")
            if "/resolve/" in self.path:
                self.send_header(
                    "X-Linked-ETag", f'"{hashlib.sha256(self.path.encode()).hexdigest()}"'
                )
                self.send_header("X-Linked-Size", "300000")
                self.send_header("X-Repo-Commit", revision(self.path))
            self.end_headers()
            return b""
        body = self.server.files.get(self.path)
        if body is None:
            self.send_response(404)
            known = revision(self.path) in map(revision, self.server.files)
            self.send_header("X-Error-Code", "EntryNotFound" if known else "RevisionNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return b""
        start = int(span.removeprefix("bytes=").removesuffix("-") or 0)
        if start >= len(body):
            self.send_response(416)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return b""
        self.send_response(206 if span else 200)
        if self.path not in self.server.endless:
            self.send_header("Content-Length", str(len(body) - start))
        if span:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        if "/resolve/" in self.path:
            self.send_header("ETag", f'"{hashlib.sha256(body).hexdigest()}"')
            self.send_header("X-Repo-Commit", revision(self.path))
        self.end_headers()
        return body[start:]

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving() -> Iterator[Hub]:
    """Run a hub for as long as the context lasts."""
    with Hub() as hub:
        thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield hub
        finally:
            hub.shutdown()
            thread.join()
