"""The pages for people: restoring photos, comparing one with its result, and the API."""

from __future__ import annotations

from dataclasses import Field
from typing import Any

from restore_cli.image import READ_SUFFIXES
from restore_cli.report.html import fill_in
from restore_cli.serve.options import Common, actions, words_of
from restore_cli.tasks import option_fields

ASSETS = {"page.css": "text/css", "serve.css": "text/css", "serve.js": "text/javascript"}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; connect-src 'self';"
    " form-action 'none'; frame-ancestors 'none'; frame-src 'self'; img-src data:;"
    " script-src 'self'; style-src 'self'",
}


def render_page(max_upload: int) -> str:
    """The page that restores photos."""
    return fill_in(
        "serve.html.j2",
        actions=actions().values(),
        common=option_fields(Common).values(),
        words_of=words_of,
        placeholder=_placeholder,
        max_upload=max_upload,
        suffixes=sorted(READ_SUFFIXES),
    )


def _placeholder(item: Field[Any]) -> str:
    """The default of an option, or the form of its value."""
    if isinstance(item.default, int | float):
        return f"{item.default:g}"
    return str(item.metadata["absent"] or item.metadata["metavar"].removeprefix("FLOAT|"))


def render_docs(schema: dict[str, Any], address: str) -> str:
    """The page of the API of the server at an address, from its OpenAPI schema."""
    return fill_in("serve_docs.html.j2", schema=schema, address=address)
