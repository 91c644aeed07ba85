"""`modelmesh.directory.v1`: a directory with a file for each secret, as Docker and Kubernetes mount them.

Owns: the file for a name, with its links. Kubernetes swaps a link (`..data`) under all files at once.
Must never: let a name lead outside the directory.
"""

from __future__ import annotations

import logging
import os
import stat
from abc import abstractmethod
from pathlib import Path

from meshd.connectors.secrets.files import beside, read_value, value_of, why
from meshd.connectors.secrets.written import require_name, write
from meshd.sdk.secrets import SecretMissing, SecretStore, SecretStoreError

logger = logging.getLogger("meshd.secrets")


def file_name(name: str) -> str:
    """The name, by systemd's and Kubernetes' rule: a plain file name. Raises SecretMissing."""
    if "/" in name or "\0" in name or name in ("", ".", ".."):
        raise SecretMissing(f"{name!r} cannot be the name of a file")
    return name


class FolderStore(SecretStore):
    """One file per secret, with the secret's name."""

    blocks = False

    @abstractmethod
    def folder(self) -> Path:
        """The directory. Raises SecretMissing and SecretStoreError."""

    def get(self, name: str) -> str:
        return read_value(self.folder() / file_name(name))

    def list(self) -> list[str]:
        folder = self.folder()
        try:
            return sorted(name for name in os.listdir(folder) if os.path.isfile(folder / name))
        except OSError as error:
            raise SecretStoreError(f"{folder} cannot be read: {why(error)}") from None

    def files(self, name: str) -> tuple[Path, ...]:
        try:
            return (self.folder() / file_name(name),)
        except (SecretMissing, SecretStoreError):
            return ()


class DirectoryStore(FolderStore):
    """Settings: `path` (relative to `folder`, which the resolver adds)."""

    def folder(self) -> Path:
        path = beside(self._settings, self._settings["path"])
        try:
            mode = os.stat(path).st_mode
        except FileNotFoundError:
            raise SecretMissing(f"there is no directory {path}") from None
        except (OSError, ValueError) as error:
            raise SecretStoreError(f"{path} cannot be read: {why(error)}") from None
        if not stat.S_ISDIR(mode):
            raise SecretMissing(f"{path} is not a directory")
        return path

    def get(self, name: str) -> str:
        value = super().get(name)
        warn_if_others_may_read(self.folder() / name)
        return value

    def set(self, name: str, value: str) -> None:
        require_name(name)
        path = self.folder() / file_name(name)
        write(path, value, name, {name: value}, lambda content: {name: value_of(content, path)})

    def delete(self, name: str) -> None:
        path = self.folder() / file_name(name)
        try:
            path.unlink()
        except FileNotFoundError:
            raise SecretMissing(f"there is no file {path}") from None
        except (OSError, ValueError) as error:
            raise SecretStoreError(f"{path} cannot be deleted: {why(error)}") from None


_warned: set[str] = set()


def warn_if_others_may_read(path: Path) -> None:
    """Warn once, without refusing the file: what mounts files into a container sets their mode, and a container has no
    other users."""
    try:
        others = os.stat(path).st_mode & stat.S_IROTH
    except OSError:
        return
    if others and str(path) not in _warned:
        _warned.add(str(path))
        logger.warning("%s can be read by every user of this machine", path)
