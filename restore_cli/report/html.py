"""Renders self-contained HTML pages that compare images."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Sequence
from importlib import resources
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from restore_cli.report.comparison import Comparison, Version


def render_comparisons(title: str, comparisons: Sequence[Comparison]) -> str:
    """Render a page with a viewer; it needs neither other files nor a network."""
    return render_page(
        [asset("viewer.js")], title=title, comparisons=[embed(one) for one in comparisons]
    )


def render_page(scripts: Sequence[str], **values: Any) -> str:
    """Render the page template.

    Its content security policy allows only these scripts, and does not allow loading anything.
    """
    digests = [
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in scripts
    ]
    return fill_in(
        "page.html.j2",
        **{"bench": None, **values},
        policy=Markup(" ".join(f"'sha256-{digest}'" for digest in digests)),
        style=Markup(asset("page.css")),
        scripts=[Markup(text) for text in scripts],
    )


def fill_in(template: str, **values: Any) -> str:
    """Render a template of `page/` with these values, which are escaped."""
    environment = Environment(
        loader=PackageLoader("restore_cli.report", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(values)


def asset(name: str) -> str:
    """Read a file of `page/`."""
    return (resources.files("restore_cli.report") / "page" / name).read_text(encoding="utf-8")


def embed(comparison: Comparison) -> dict[str, Any]:
    """The data of a comparison for the viewer's script, with images as data URIs."""
    height, width = comparison.versions[0].pixels.shape[:2]
    versions = [
        {"name": version.name, "note": version.note, "source": _png(version)}
        for version in comparison.versions
    ]
    return {"title": comparison.title, "width": width, "height": height, "versions": versions}


def _png(version: Version) -> str:
    """Encode an image as the data URI of a PNG."""
    samples = np.rint(np.nan_to_num(version.pixels).clip(0, 1) * 255).astype(np.uint8)
    gray, icc = samples.shape[2] == 1, version.icc
    if icc and (icc[16:20] == b"GRAY") != gray:  # PNG forbids it
        icc = None
    buffer = io.BytesIO()
    image = Image.fromarray(samples[..., 0] if gray else samples)
    image.save(buffer, "PNG", icc_profile=icc)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
