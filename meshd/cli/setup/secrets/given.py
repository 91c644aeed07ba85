"""The secrets that a user gives to `meshctl secrets`: a value, or a file of them.

Owns: how much is read, and what is refused before a store is touched.
Must never: cut what was given, or put a value into an error.
"""

from __future__ import annotations

import getpass
import json
import sys
from pathlib import Path
from typing import IO

from meshd.cli import daemon

_INPUT = "standard input"


def require_name(name: str) -> str:
    """The name. Raises Misused for one that no secret should have."""
    from meshd.connectors.secrets import written
    from meshd.sdk.secrets import SecretStoreError

    try:
        written.require_name(name)
    except SecretStoreError as error:
        raise daemon.Misused(str(error)) from None
    return name


def value_of(name: str) -> str:
    """Asked for at a terminal, else what a pipe gives. Raises Misused, Refused."""
    try:
        given = getpass.getpass(f"Value of {name}: ") if sys.stdin.isatty() else _text(_INPUT, sys.stdin.buffer)
    except EOFError:
        raise daemon.Misused(f"no value of {name} was given") from None
    except UnicodeDecodeError:
        raise daemon.Misused(f"the value of {name} is not UTF-8 text") from None
    except (OSError, ValueError) as error:
        raise _unread(_INPUT, error) from None
    return _usable(name, given)


def secrets_of(file: str) -> tuple[dict[str, str], list[str]]:
    """Of a .env file or a JSON object: (the secrets, names without a value that could be one). Raises Misused,
    Refused."""
    from meshd.connectors.secrets.dotenv import parse_dotenv

    source = _INPUT if file == "-" else str(Path(file))
    text = _read(file, source)
    given = _of_json(text, source) if text.lstrip().startswith("{") else dict[str, object](parse_dotenv(text))
    texts = {name: value for name, value in given.items() if isinstance(value, str) and value.strip()}
    found = {require_name(name): _usable(name, value) for name, value in texts.items()}
    if not found:
        raise daemon.Misused(f"{source} has no secrets; give a .env file (NAME=VALUE), or a JSON object of texts")
    return found, sorted(given.keys() - found.keys())


def _read(file: str, source: str) -> str:
    try:
        if file == "-":
            return _text(source, sys.stdin.buffer)
        with Path(file).open("rb") as opened:
            return _text(source, opened)
    except (OSError, ValueError) as error:
        raise _unread(source, error) from None


def _text(source: str, opened: IO[bytes]) -> str:
    """All of it. Raises Misused; OSError and ValueError if it cannot be read."""
    from meshd.connectors.secrets.files import MOST_BYTES, text_of
    from meshd.sdk.secrets import SecretMissing, SecretStoreError

    try:
        return text_of(opened.read(MOST_BYTES + 1), source)
    except (SecretMissing, SecretStoreError) as error:
        raise daemon.Misused(str(error)) from None


def _of_json(text: str, source: str) -> dict[str, object]:
    """Raises Misused."""
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise daemon.Misused(f"{source}:{error.lineno} is not a JSON object: {error.msg}") from None
    except (ValueError, RecursionError):
        raise daemon.Misused(f"{source} is not a JSON object of names and values") from None
    return dict(found)


def _usable(name: str, given: str) -> str:
    """Raises Misused."""
    from meshd.connectors.secrets.stores import usable
    from meshd.sdk.secrets import SecretMissing, SecretStoreError

    try:
        return usable(name, given)
    except (SecretMissing, SecretStoreError) as error:
        raise daemon.Misused(str(error)) from None


def _unread(source: str, error: OSError | ValueError) -> daemon.Refused:
    from meshd.connectors.secrets.files import why

    return daemon.Refused(f"{source} cannot be read: {why(error)}")
