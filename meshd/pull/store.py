"""The models on this machine: where they are kept, and what they are.

Owns: the `models` folder of the data directory; one JSON manifest beside each model's file, written last, so that
a model without one does not count.
Must never: touch a file it did not put there, or let two pulls of one model write at once.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

import msgspec

from meshd.pull.errors import PullError


class PulledModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model on this machine. vouched_by: who vouched for its sha256, "": nothing did. already_there: this pull
    found it in place and did nothing."""

    name: str
    file: str
    sha256: str
    size: int
    source: str
    licence: str = ""
    vouched_by: str = ""
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


def is_file(model: str) -> bool:
    """Whether a model is named by the path of its weights, instead of by the name that it was pulled under."""
    return os.sep in model or model.lower().endswith(".gguf")


def list_models(base: str | Path | None = None) -> list[PulledModel]:
    """The models on this machine, by name. A manifest that cannot be read, or whose file is gone, does not count."""
    folder = models_dir(base)
    found = [_load(path) for path in sorted(folder.glob("*.json")) if not path.name.endswith(".part.json")]
    return [model for model in found if model is not None]


def find(name: str, base: str | Path | None = None) -> PulledModel | None:
    if "/" in name or name.startswith("."):
        return None
    return _load(models_dir(base) / f"{name}.json")


def remove(name: str, base: str | Path | None = None) -> bool:
    """Remove a model. Returns whether it existed."""
    model = find(name, base)
    if model is None:
        return False
    with lock(models_dir(base), name):
        (models_dir(base) / f"{name}.json").unlink(missing_ok=True)
        model.path.unlink(missing_ok=True)
    return True


def save(model: PulledModel, folder: Path) -> None:
    note = folder / f"{model.name}.json"
    part = folder / f"{model.name}.json.new"
    fields = msgspec.structs.asdict(model)
    del fields["folder"], fields["already_there"]  # these describe the call, not the model
    with create(part) as file:
        file.write(msgspec.json.format(msgspec.json.encode(fields)))
    os.replace(part, note)
    sync_directory(folder)


def _load(path: Path) -> PulledModel | None:
    try:
        model = msgspec.json.decode(path.read_bytes(), type=PulledModel)
        model = msgspec.structs.replace(model, folder=str(path.parent))
        there = model.path.lstat()
        return model if stat.S_ISREG(there.st_mode) and there.st_size == model.size else None
    except (OSError, msgspec.DecodeError):
        return None


def create(path: Path, mode: str = "wb") -> IO[bytes]:
    """Open a file of this folder for writing: never through a link, and for its owner alone to write."""
    return open(path, mode, opener=_open)


def _open(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)


@contextlib.contextmanager
def lock(folder: Path, name: str) -> Iterator[None]:
    """A lock that the kernel releases when this process ends, even if it is killed. The file itself stays: if it were
    removed, a third process could lock a new file of the same name."""
    path = folder / f".{name}.lock"
    with create(path, "ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PullError(f"{name} is being pulled by another process", "wait for it") from None
        yield


def sync_directory(path: Path) -> None:
    """Make a rename in this directory survive a power cut."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
