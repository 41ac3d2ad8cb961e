"""Refuses requests from other sites, unknown hosts and strangers, and uploads that are too large.

A page of another site can send requests to this server from the browser of its user, also under a
host name of its own that it lets point to this computer (DNS rebinding).
"""

from __future__ import annotations

import hmac
import ipaddress
import re
from dataclasses import dataclass

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

PAGES = ("/", "/docs")  # links of other sites may lead here
_PORT = re.compile(r":\d+$")
_COOKIE = "restore_token"
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def is_loopback(host: str) -> bool:
    """Whether a name or address is that of this computer for itself."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def refuse(status: int, sentence: str, **headers: str) -> JSONResponse:
    """The response to a request that is refused or failed."""
    return JSONResponse({"error": sentence}, status, headers)


@dataclass(frozen=True)
class Guard:
    """Checks each request before the app sees it.

    Attributes:
        app: answers the other requests.
        token: what clients must send; None lets everyone in.
        max_upload: the largest request, in bytes.
    """

    app: ASGIApp
    token: str | None
    max_upload: int

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        answer = self._check(Request(scope)) or self.app
        await answer(scope, receive, send_with_headers)

    def _check(self, request: Request) -> Response | None:
        """The refusal of a request, or None."""
        return (
            self._check_origin(request) or self._check_token(request) or self._check_size(request)
        )

    def _check_origin(self, request: Request) -> Response | None:
        headers, host = request.headers, request.headers.get("host", "")
        # With a token any name is safe: only the name that the user opened has the cookie.
        if not self.token and not is_loopback(_PORT.sub("", host).strip("[]")):
            return refuse(421, f"Cannot answer for the host {host!r}. Use the printed address.")
        origin, site = headers.get("origin"), headers.get("sec-fetch-site", "none")
        link = headers.get("sec-fetch-mode") == "navigate" and request.url.path in PAGES
        foreign = site not in ("same-origin", "none") and not (link and request.method == "GET")
        if foreign or (origin is not None and origin.partition("://")[2] != host):
            return refuse(403, "Cannot answer requests from pages of other sites.")
        return None

    def _check_token(self, request: Request) -> Response | None:
        if not self.token:
            return None
        given = request.query_params.get("token", "")  # a "+" reads as a space
        if request.url.path == "/" and any(map(self._is_token, (given, given.replace(" ", "+")))):
            page = RedirectResponse("/", 303)
            page.set_cookie(_COOKIE, self.token, httponly=True, samesite="strict")
            return page
        scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
        known = scheme.lower() == "bearer" and self._is_token(bearer.strip())
        if known or self._is_token(request.cookies.get(_COOKIE, "")):
            return None
        return refuse(
            401,
            "This server needs a token. Open /?token=TOKEN, or send the header"
            " `Authorization: Bearer TOKEN`.",
            **{"WWW-Authenticate": "Bearer"},
        )

    def _is_token(self, text: str) -> bool:
        return hmac.compare_digest(text.encode(), (self.token or "").encode())

    def _check_size(self, request: Request) -> Response | None:
        if "transfer-encoding" in request.headers:
            return refuse(411, "Cannot accept an upload of unknown size. Send a Content-Length.")
        if int(request.headers.get("content-length", 0)) > self.max_upload:
            return refuse(
                413,
                f"Cannot accept more than {self.max_upload / 1e6:.3g} MB. Send a smaller photo, or"
                " raise --max-upload.",
            )
        return None
