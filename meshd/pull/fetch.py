"""Downloads one large file over HTTP: resumes where it was cut off, checks while reading, and renames the file last.

Owns: the `.part` file next to the target, and the note of where it came from.
Must never: leave a file under its final name that is not complete and checked, or send over a connection whose
certificate is not verified.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote, urlsplit

import httpx

from meshd.net.connections.proxies import Proxy, ProxyRefused, find_proxy
from meshd.net.connections.tls import tls_context
from meshd.net.encodings import EncodingError, decoder
from meshd.pull.errors import PullError, Unreachable, Unverified
from meshd.pull.sources import LARGEST, hub_hash, is_loopback, is_safe
from meshd.pull.store import create, sync_directory

Progress = Callable[[int, int | None], None]

TRIES = 6  # in a row without a byte of progress
FIRST_DELAY = 0.5
LONGEST_DELAY = 15.0
BLOCK = 256 * 1024
SPARE = 16 * 1024 * 1024  # bytes of the disk left free for other programs
LOOK_EVERY = 64 * 1024 * 1024  # bytes between two checks of the free space, if a file's size was not announced
_NO_WAY = (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError)
_TIMEOUT = httpx.Timeout(30.0, connect=15.0)


def _free(path: Path) -> int:
    return shutil.disk_usage(path).free


class _CutError(Exception):
    """The connection broke; what had come is on disk."""


@dataclass(slots=True)
class _Part:
    """A download in progress: the bytes on disk, their hash, and what proves that later bytes belong to the same
    file."""

    path: Path
    note: Path
    url: str
    limit: int = LARGEST
    hub: bool = False
    vouched: bool = False
    offset: int = 0
    validator: str | None = None
    total: int | None = None
    expected: str | None = None
    digest: Any = field(default_factory=hashlib.sha256)

    def resume(self) -> None:
        """Continue what an earlier run left, if it came from the same address."""
        try:
            note = json.loads(self.note.read_text())
            with self.path.open("rb") as file:
                if note.get("url") != self.url:
                    return
                while block := file.read(BLOCK):
                    self.digest.update(block)
                    self.offset += len(block)
        except (OSError, ValueError):
            return
        self.validator = note.get("validator")

    def restart(self) -> None:
        self.digest = hashlib.sha256()
        self.offset = 0
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()

    def remember(self) -> None:
        with create(self.note) as file:
            file.write(json.dumps({"url": self.url, "validator": self.validator}).encode())

    def discard(self) -> None:
        for path in (self.path, self.note):
            path.unlink(missing_ok=True)


def download(
    url: str,
    target: Path,
    *,
    sha256: str | None = None,
    headers: Mapping[str, str] | None = None,
    progress: Progress | None = None,
    ca_file: str | None = None,
    limit: int = LARGEST,
    hub: bool = False,
    sleep: Callable[[float], None] = time.sleep,
    free: Callable[[Path], int] = _free,
) -> str:
    """Download `url` to `target`. Returns its sha256. limit: bytes. hub: the server itself must give the sha256, over
    TLS, before anything is read (`Unverified`). Raises PullError; an interrupted download is kept, so that it can be
    resumed."""
    part = _Part(target.with_name(target.name + ".part"), target.with_name(target.name + ".part.json"), url, limit, hub)
    part.resume()
    resumed = part.offset > 0
    tell = progress or (lambda done, total: None)
    if url.startswith("file://"):
        _copy(part, Path(unquote(urlsplit(url).path)), tell, free)
    else:
        _check_address(url)
        with httpx.Client(**_way_to(url), verify=_trusted(ca_file), timeout=_TIMEOUT) as client:
            client.event_hooks = {"response": [lambda response: _note_hub_hash(part, response)]}
            _fetch_all(client, part, dict(headers or {}), tell, sleep, free, trusted=sha256 is not None)
    found: str = part.digest.hexdigest()
    wanted = sha256 or part.expected
    if wanted is not None and found != wanted:
        part.discard()
        if resumed:  # what an earlier run left may belong to another file: start again from the beginning
            return download(
                url,
                target,
                sha256=sha256,
                headers=headers,
                progress=progress,
                ca_file=ca_file,
                limit=limit,
                hub=hub,
                sleep=sleep,
                free=free,
            )
        raise PullError(f"{url} has the sha256 {found}, not {wanted}", "the file was not kept; try again, or report it")
    _put_in_place(part, target)
    return found


def _check_address(url: str) -> None:
    """Raises PullError. Otherwise, each step of a connection would fail in its own way."""
    try:
        httpx.URL(url).host.encode("idna")
    except (httpx.InvalidURL, ValueError):
        raise PullError(f"{url} is not an address", "check it") from None


def _proxy_for(url: str) -> Proxy | None:
    """By the same rules as for providers."""
    parts = urlsplit(url)
    return find_proxy(parts.scheme == "https", parts.hostname or "", parts.port)


def _ways(url: str) -> str:
    """What to check if a host cannot be reached."""
    proxy = _proxy_for(url)
    return f"check the network and {'HTTPS_PROXY, if there is a proxy' if proxy is None else f'the proxy {proxy.url}'}"


def _way_to(url: str) -> dict[str, Any]:
    """httpx's arguments for the proxy."""
    try:
        proxy = _proxy_for(url)
        if proxy is not None and proxy.socks:
            raise ProxyRefused("SOCKS proxies are not supported here: set NO_PROXY, or an HTTP proxy in HTTPS_PROXY")
    except ProxyRefused as refused:
        raise PullError(f"{url} cannot be fetched", str(refused)) from None
    if proxy is None:
        return {"trust_env": False}
    auth = (proxy.user, proxy.password or "") if proxy.user is not None else None
    return {"trust_env": False, "proxy": httpx.Proxy(str(proxy.url), auth=auth)}


def _trusted(ca_file: str | None) -> ssl.SSLContext:
    try:
        return tls_context(ca_file)
    except OSError as error:
        raise PullError(str(error), "give another ca_file") from None


def _fetch_all(
    client: httpx.Client,
    part: _Part,
    headers: dict[str, str],
    tell: Progress,
    sleep: Callable[[float], None],
    free: Callable[[Path], int],
    *,
    trusted: bool,
) -> None:
    failures = 0
    while True:
        before = part.offset
        if part.offset and not (part.validator or trusted):
            part.restart()  # nothing would prove that the remaining bytes belong to the same file
        try:
            _fetch_rest(client, part, headers, tell, free)
            return
        except (_CutError, httpx.TransportError) as exc:
            failures = 1 if part.offset > before else failures + 1
            if failures >= TRIES:
                kept = f"{part.offset} bytes are kept" if part.offset else "nothing arrived"
                reason = re.sub(r"^\[Errno -?\d+\] ", "", str(exc)) or type(exc).__name__
                if isinstance(exc, _NO_WAY):
                    host = urlsplit(part.url).hostname
                    raise Unreachable(f"{host} cannot be reached: {reason} ({kept})", _ways(part.url)) from None
                raise PullError(f"{part.url} cannot be read: {reason} ({kept})", "run it again") from None
            sleep(min(FIRST_DELAY * 2 ** (failures - 1), LONGEST_DELAY))


def _fetch_rest(
    client: httpx.Client, part: _Part, headers: dict[str, str], tell: Progress, free: Callable[[Path], int]
) -> None:
    asked = headers | {"Accept-Encoding": "identity"}
    if part.offset:
        asked["Range"] = f"bytes={part.offset}-"
        if part.validator:
            asked["If-Range"] = part.validator
    with _answer(client, part.url, asked) as response:
        _check(response, part)
        if part.hub and not part.vouched:
            raise Unverified(part.url)
        if response.status_code == 416:
            if _total(response) == part.offset:
                return
            part.restart()
            raise _CutError("the part that was kept does not match")
        if response.status_code == 206 and _first_byte(response) == part.offset:
            mode = "ab"
        elif response.status_code == 206:
            part.restart()
            raise _CutError("the server sent another range than was asked for")
        else:
            part.restart()  # the server sends the whole file: it knows no ranges, or the file has changed
            mode = "wb"
        part.validator = _validator(response)
        part.total = _total(response)
        _need_room(part, free)
        with create(part.path, mode) as file:
            part.remember()
            _write(response.iter_raw(), part, file, tell, free)  # as they arrive, so that a cut loses none
    if part.total is not None and part.offset != part.total:
        raise _CutError(f"ended after {part.offset} of {part.total} bytes")


@contextlib.contextmanager
def _answer(client: httpx.Client, url: str, headers: dict[str, str]) -> Iterator[httpx.Response]:
    """The answer at the end of the redirects. The body of a redirect is not read, because its size has no bound."""
    request = client.build_request("GET", url, headers=headers)
    for _ in range(client.max_redirects + 1):
        response = client.send(request, stream=True, follow_redirects=False)
        try:
            if response.next_request is None:
                yield response
                return
        finally:
            response.close()
        request = response.next_request
        may_lead_to(url, request.url)
    raise PullError(f"{url} is redirected too many times", "check the address")


def may_lead_to(url: str, target: httpx.URL) -> None:
    """A redirect may not leave TLS, nor lead from another machine to a service of this one."""
    if url.startswith("https:") and target.scheme != "https":
        raise PullError(f"{url} leads to {target.host} without encryption")
    if not is_safe(str(target)) or (is_loopback(target.host) and not is_loopback(urlsplit(url).hostname)):
        raise PullError(f"{url} leads to {target.scheme}://{target.host}, from which nothing is fetched")


def _write(blocks: Iterator[bytes], part: _Part, file: IO[bytes], tell: Progress, free: Callable[[Path], int]) -> None:
    looked = part.offset
    try:
        for block in blocks:
            if part.total is None and part.offset - looked >= LOOK_EVERY:
                looked = part.offset
                _need_room(part, free)
            if part.offset + len(block) > part.limit:
                raise _too_large(part)
            file.write(block)
            part.digest.update(block)
            part.offset += len(block)
            tell(part.offset, part.total)
        file.flush()
        os.fsync(file.fileno())
    except OSError as exc:
        _no_room(exc, part.path)
        raise


def _check(response: httpx.Response, part: _Part) -> None:
    status = response.status_code
    if status in (200, 206, 416):
        if "text/html" in response.headers.get("content-type", "") and not part.url.endswith(".html"):
            raise PullError(f"{part.url} is a web page, not a file", "check the address")
        if _is_coded(response.headers.get("content-encoding", "")):
            raise PullError(f"{part.url} was sent compressed, although that was not requested")
        return
    if status == 429 or status >= 500:
        raise _CutError(f"the server answered {status}")
    if status in (401, 403):
        raise PullError(f"{part.url} refuses the download ({status})", "for a gated repository set HF_TOKEN")
    if status in (404, 410):
        raise PullError(f"{part.url} does not exist ({status})", "check the name")
    raise PullError(f"{part.url} answered {status}")


def _is_coded(header: str) -> bool:
    try:
        return decoder(header) is not None
    except EncodingError:
        return True


def _note_hub_hash(part: _Part, response: httpx.Response) -> None:
    """Called for every hop: the hash is a header of the redirect. Only the hub itself vouches for it, and only over
    TLS."""
    if response.headers.get("x-linked-etag") and (found := hub_hash(response.headers)) is not None:
        part.expected = found
        own = urlsplit(part.url)
        part.vouched = (own.scheme, own.hostname) == (response.url.scheme, response.url.host) == ("https", own.hostname)


def _validator(response: httpx.Response) -> str | None:
    """The value for If-Range: a strong etag, else the date of the last change."""
    etag = response.headers.get("etag")
    if etag and not etag.startswith("W/"):
        return str(etag)
    changed = response.headers.get("last-modified")
    return str(changed) if changed else None


def _first_byte(response: httpx.Response) -> int | None:
    first = response.headers.get("content-range", "").removeprefix("bytes ").split("-")[0]
    return int(first) if first.isdigit() else None


def _total(response: httpx.Response) -> int | None:
    if response.status_code in (206, 416):
        total = response.headers.get("content-range", "").rpartition("/")[2]
    else:
        total = response.headers.get("content-length", "")
    return int(total) if total.isdigit() else None


def _need_room(part: _Part, free: Callable[[Path], int]) -> None:
    if (part.total or 0) > part.limit:
        raise _too_large(part)
    need_room(part.path.parent, part.total and part.total - part.offset, free)


def need_room(folder: Path, missing: int | None, free: Callable[[Path], int] = _free) -> None:
    """missing: bytes; None if that is unknown. Raises PullError."""
    there = free(folder)
    if (missing or 0) + SPARE > there:
        needed = f"{missing // 1_000_000} MB are needed" if missing else "the file's size was not announced"
        raise PullError(
            f"{folder} has {there // 1_000_000} MB left, {needed}",
            "free some space, or set XDG_DATA_HOME to another disk",
        )


def _too_large(part: _Part) -> PullError:
    part.discard()
    return PullError(f"{part.url} is larger than the {part.limit // 1_000_000} MB that are allowed")


def _no_room(exc: OSError, path: Path) -> None:
    if exc.errno in (errno.ENOSPC, errno.EDQUOT):
        raise PullError(f"{path.parent} is full", "free some space and run it again: it is resumed") from None


def _copy(part: _Part, origin: Path, tell: Progress, free: Callable[[Path], int]) -> None:
    """Copy from a file:// address, of an index on this machine."""
    part.restart()
    try:
        part.total = origin.stat().st_size
        _need_room(part, free)
        with origin.open("rb") as source, create(part.path) as file:
            _write(iter(lambda: source.read(BLOCK), b""), part, file, tell, free)
    except OSError as exc:
        _no_room(exc, part.path)
        raise PullError(f"{origin} cannot be read: {exc.strerror}") from None


def _put_in_place(part: _Part, target: Path) -> None:
    os.replace(part.path, target)
    part.note.unlink(missing_ok=True)
    sync_directory(target.parent)


def ca_file_for(kind: str, environ: Mapping[str, Any]) -> str | None:
    """pip's own certificate file applies to what pip's index serves."""
    return environ.get("PIP_CERT") or None if kind == "pip" else None
