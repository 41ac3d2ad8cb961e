"""`restore serve`: a page and an HTTP API that restore photos."""

from __future__ import annotations

import contextlib
import socket
import tempfile
from pathlib import Path
from typing import Annotated, Any

from restore_cli.cli import options
from restore_cli.cli.display import print_note, print_result, print_warning
from restore_cli.cli.examples import examples
from restore_cli.errors import RestoreError, UsageError
from restore_cli.models import store

EPILOG = (
    f"{examples('serve')}\n\nExit codes: 1 the address is in use, 2 invalid arguments, 130"
    " stopped by Ctrl-C."
)
_SHUTDOWN_SECONDS = 2  # for requests that are being answered
_LIMITS = "Limits"
_ACCESS = "Address and access"


def serve(
    host: Annotated[
        str,
        options.option(
            _ACCESS, "ADDRESS", "Address to listen on; any but this computer's own needs --token."
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int,
        options.option(_ACCESS, "N", "Port to listen on; 0 picks a free one.", min=0, max=65535),
    ] = 8000,
    token: Annotated[
        str | None,
        options.option(
            _ACCESS,
            "TEXT",
            "Secret that clients must send; the environment variable keeps it out of lists of"
            " processes.",
            envvar="RESTORE_TOKEN",
        ),
    ] = None,
    max_upload: Annotated[
        float,
        options.option(_LIMITS, "MB", "Largest upload, in megabytes.", min=0.001, max=1e6),
    ] = 200.0,
    max_pixels: Annotated[
        int, options.option(_LIMITS, "N", "Most pixels of a photo or result.", min=1)
    ] = 100_000_000,
    max_jobs: Annotated[
        int,
        options.option(
            _LIMITS, "N", "Most photos to hold at once: waiting, running and finished.", min=1
        ),
    ] = 100,
    keep: Annotated[
        float,
        options.option(
            _LIMITS, "MINUTES", "Delete finished photos after this time.", min=0.1, max=1e6
        ),
    ] = 30.0,
    accept: options.Accept = None,
    offline: options.Offline = False,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    tile: options.Tile = None,
) -> None:
    """Restore photos in a web browser, or by HTTP.

    Open the printed address, and drop photos on the page. Programs use the same address:
    /docs describes the requests, which have the options of the commands.

    Photos are restored one after the other on this computer. They are deleted when they are removed
    from the page, once a program has fetched the result, after --keep, and when the server ends.
    """
    for name in accept or ():
        store.accept_license(name)
    uvicorn = _import_uvicorn()
    from restore_cli.engine import Settings, find_device
    from restore_cli.serve.app import create_app
    from restore_cli.serve.config import Config
    from restore_cli.serve.guard import is_loopback

    local = is_loopback(host)
    if not local and not token:
        raise UsageError(
            f"Cannot serve on {host} without a token: others could use this computer. Give"
            " --token, or set RESTORE_TOKEN."
        )
    if token and not (token.isascii() and token.isprintable()):
        raise UsageError("Cannot use this token: use only letters, digits and signs of ASCII.")
    find_device(device)
    config = Config(
        settings=Settings(device, precision, tile),
        offline=offline,
        token=token,
        max_upload=round(max_upload * 1e6),
        max_pixels=max_pixels,
        max_jobs=max_jobs,
        keep=60 * keep,
    )
    temporary = tempfile.TemporaryDirectory(prefix="restore-serve-", ignore_cleanup_errors=True)
    with temporary as folder, contextlib.closing(_listen(host, port)) as listening:
        server = uvicorn.Server(
            uvicorn.Config(
                create_app(config, Path(folder)),
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
            )
        )
        print_result(_address(listening))
        if not local:
            print_warning("Photos and the token are sent without encryption. Use a trusted network")
        print_note("Press Ctrl-C to stop.")
        try:
            server.run(sockets=[listening])
        except KeyboardInterrupt:
            raise KeyboardInterrupt("The server stopped, and its photos are deleted.") from None


def _import_uvicorn() -> Any:
    try:
        import fastapi  # noqa: F401
        import python_multipart  # noqa: F401
        import uvicorn
    except ImportError as error:
        raise UsageError(
            "Cannot serve: FastAPI is not installed. Run `pip install 'restore-cli[serve]'`."
        ) from error
    return uvicorn


def _listen(host: str, port: int) -> socket.socket:
    """Open the address, before anything slow; raises RestoreError if it cannot be used."""
    try:
        family, *_, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server((place[0], port), family=family)
    except OSError as error:
        raise RestoreError(
            f"Cannot listen on {host}, port {port}: {error.strerror}. Give another --port."
        ) from error


def _address(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"
