"""A file that an app uploads as a form, written to the disk while it arrives.

Owns: what a form may say about a file, and the bytes of a file that is not complete. Must never: hold the file in
memory.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from meshd.formats.multipart import forms
from meshd.formats.multipart.stream import FormStream
from meshd.gateway.access.owner import Owner
from meshd.gateway.files import disk
from meshd.gateway.files.store import FileStore, KeptFile, new_id
from meshd.gateway.frontends.exchange import Request
from meshd.gateway.frontends.media import require_plain, unsupported
from meshd.host.plain_text import printable
from modelmesh.errors import InvalidRequestError
from modelmesh.wording import short

PURPOSES = frozenset({"assistants", "batch", "evals", "fine-tune", "user_data", "vision"})
"""OpenAI's. The mesh itself uses only files for `batch`."""
FORM_BYTES = 64 * 1024
"""Bytes of a form besides its file."""
_SHORTEST, _LONGEST_NAME = 3600, 255

T = TypeVar("T")


async def upload(store: FileStore, owner: Owner, request: Request) -> KeptFile:
    """Write the file of a form. Raises MeshError."""
    content_type = request.headers.get("content-type", "")
    if not forms.is_form(content_type):
        what = content_type.partition(";")[0][:100] or "a body without a content type"
        raise unsupported(request, what, "a form (multipart/form-data)", "send it as one")
    require_plain(request, "a form (multipart/form-data)", "send it as it is")
    written = _Written(store, owner)
    try:
        await written.begin()
        kept = await written.take(request, FormStream(content_type))
        await store.keep(kept)
    except OSError as error:
        await written.undo()
        raise disk.cannot("written", error) from None
    except BaseException:
        await written.undo()
        raise
    return kept


class _Written:
    """The bytes of one upload, and what it takes of its user's space."""

    def __init__(self, store: FileStore, owner: Owner) -> None:
        self._store = store
        self._owner = owner
        self._id = new_id("file-")
        self._part = store.path(self._id + disk.PART)
        self._fd = -1
        self._size = 0
        self._counted = False

    async def begin(self) -> None:
        """Raises MeshError, OSError."""
        self._store.space.take_place(self._owner.user)
        self._counted = True
        self._fd = await self._work(partial(disk.create, self._part))

    async def take(self, request: Request, form: FormStream) -> KeptFile:
        """Raises MeshError, OSError."""
        if request.upload is None:
            await self._add(form.feed(request.body))
        else:
            while data := await request.upload.read():
                await self._add(form.feed(data))
        form.end()
        purpose, lives = _purpose(form.fields), _lives(form.fields, self._store.limits.ttl)
        await self._work(self._finish)
        name = printable(form.filename or "file")[:_LONGEST_NAME]
        return self._store.record(self._owner, self._id, name, purpose, self._size, lives)

    async def _add(self, data: bytes) -> None:
        if not data:
            return
        most = self._store.limits.max_size
        if self._size + len(data) > most:
            raise InvalidRequestError(
                f"The file has more than {most} bytes (files.max_size); send less.",
                status_code=413,
                code="message_too_large",
            )
        self._store.space.take(self._owner.user, len(data))
        self._size += len(data)
        await self._work(partial(disk.append, self._fd, data))

    def _finish(self) -> None:
        os.close(self._fd)
        self._fd = -1
        os.rename(self._part, self._store.path(self._id))

    async def undo(self) -> None:
        if self._counted:
            self._store.space.give_place(self._owner.user)
            self._store.space.give(self._owner.user, self._size)
        self._store.worker.submit(self._discard)

    def _discard(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
        disk.remove(self._part)
        disk.remove(self._store.path(self._id))

    async def _work(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._store.worker, work)


def _purpose(fields: dict[str, str]) -> str:
    purpose = fields.get("purpose", "")
    if purpose not in PURPOSES:
        raise InvalidRequestError(
            f"`purpose` must be one of {', '.join(sorted(PURPOSES))}, not {short(repr(purpose))}.", param="purpose"
        )
    return purpose


def _lives(fields: dict[str, str], most: float) -> float | None:
    """Seconds, if the app asks for less than files are kept."""
    asked = fields.get("expires_after[seconds]", "")
    if not asked:
        return None
    if fields.get("expires_after[anchor]", "created_at") != "created_at":
        raise InvalidRequestError("`expires_after` can count only from `created_at`.", param="expires_after")
    if not (asked.isascii() and asked.isdecimal() and len(asked) < 10 and int(asked) >= _SHORTEST):
        raise InvalidRequestError(f"`expires_after` must be at least {_SHORTEST} seconds.", param="expires_after")
    return min(float(asked), most)
