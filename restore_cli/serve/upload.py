"""Turns an upload, a multipart form, into files and an order."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from fastapi import HTTPException, Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile

from restore_cli.errors import UsageError
from restore_cli.pipeline.request import Request as Restoration
from restore_cli.serve.config import Config
from restore_cli.serve.options import Action
from restore_cli.serve.work import Order, clean_name

_FILES = ("photo", "mask")
_MOST_FIELDS = 100


async def receive(request: Request, action: Action, folder: Path, config: Config) -> Order:
    """Read an upload, and write its files to a folder.

    Raises:
        HTTPException: it is not a multipart form.
        UsageError: the photo is missing, or an option is unknown or invalid.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "multipart/form-data":
        raise HTTPException(
            415, f"Cannot read {kind or 'this'}. Send a form: `curl -F photo=@photo.jpg`."
        )
    async with request.form(max_files=len(_FILES), max_fields=_MOST_FIELDS) as form:
        files = _find_files(form)
        texts = [(name, text) for name, text in form.multi_items() if isinstance(text, str)]
        plan, common = action.parse(texts)
        for name, file in files.items():
            await run_in_threadpool(_save, file, folder / name)
    return Order(
        Restoration(
            plan=plan,
            items=(),
            settings=replace(config.settings, ensemble=common.ensemble),
            jpeg_quality=common.jpeg_quality,
            max_pixels=config.max_pixels,
            offline=config.offline,
        ),
        name=clean_name(files["photo"].filename),
        folder=folder,
        format=common.format,
        masked="mask" in files,
    )


def _find_files(form: FormData) -> Mapping[str, UploadFile]:
    files: dict[str, UploadFile] = {}
    for name, file in form.multi_items():
        if not isinstance(file, UploadFile):
            if name in _FILES:
                raise UsageError(f"Cannot read {name}: it is text. Send a file: -F {name}=@FILE.")
        elif name not in _FILES or name in files:
            raise UsageError(f"Cannot accept the file {name!r}. Send one photo, and one mask.")
        else:
            files[name] = file
    if "photo" not in files:
        raise UsageError("The photo is missing. Send it as a file: -F photo=@FILE.")
    return files


def _save(file: UploadFile, path: Path) -> None:
    with path.open("wb") as target:
        shutil.copyfileobj(file.file, target)
