"""What is written to a file with secrets can be read from it again.

Owns: the check of what a file would contain, before it is replaced, and which names a secret may have.
Must never: put a value into an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from meshd.connectors.secrets.files import MOST_BYTES, why
from meshd.host.replaced_file import replace_file
from meshd.sdk.secrets import SecretMissing, SecretStoreError


def require_name(name: str) -> None:
    """Raises SecretStoreError for a name that cannot be read or typed."""
    if not name.strip():
        raise SecretStoreError("a secret needs a name that is not blank")
    if not name.isprintable():
        raise SecretStoreError(f"{name!r} cannot be the name of a secret: it has characters that cannot be shown")


def write(
    path: Path, text: str, name: str, wanted: Mapping[str, str], read: Callable[[bytes], Mapping[str, str]]
) -> None:
    """Replace the file, if the wanted secrets are what `read` finds in its new content. name: the secret that differs.

    Raises SecretStoreError."""
    try:
        content = text.encode()
    except UnicodeEncodeError:
        raise SecretStoreError(f"{path} cannot hold {name}: the file would not be UTF-8 text") from None
    if len(content) > MOST_BYTES:
        raise SecretStoreError(f"{path} cannot hold {name}: the file would be larger than 1 MiB, and not be read again")
    found = _found(content, read)
    if found is not None and _others(found, name) != _others(wanted, name):
        raise SecretStoreError(f"{path} stays as it is: other secrets in it would change. Is a quote in it left open?")
    if found is None or found.get(name) != wanted.get(name):
        raise SecretStoreError(f"{path} cannot hold this value of {name}: another value would be read from it")
    try:
        replace_file(path, content)
    except OSError as error:
        raise SecretStoreError(f"{path} cannot be written: {why(error)}") from None


def _found(content: bytes, read: Callable[[bytes], Mapping[str, str]]) -> Mapping[str, str] | None:
    """None if it cannot be read."""
    if not content.strip():
        return {}
    try:
        return read(content)
    except (SecretMissing, SecretStoreError):
        return None


def _others(secrets: Mapping[str, str], name: str) -> dict[str, str]:
    return {each: value for each, value in secrets.items() if each != name}
