"""`${env:NAME}` and `${secrets:NAME}` in strings.

Owns: finding and substituting references anywhere in a configuration.
Must never: put a resolved value into a problem.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from meshd.config.problems import Path, Problem, closest, dotted

_ANY = re.compile(r"\$\{([A-Za-z_]+):([^}]*)\}")
_ENV_BODY = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)
_KINDS = ("env", "secrets")


def strings(value: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Every string of a structure, with where it stands."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from strings(item, (*path, key))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from strings(item, (*path, index))


def transform(value: Any, change: Callable[[str], str]) -> Any:
    """The same structure, new, with every string changed."""
    if isinstance(value, str):
        return change(value) if "${" in value else value
    if isinstance(value, dict):
        return {key: transform(item, change) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [transform(item, change) for item in value]
    return value


def resolve_env(value: Any, environ: Mapping[str, str]) -> Any:
    """Every `${env:…}` replaced; one that has neither value nor default stays as it stands.

    As in a shell, `:-` also applies when the variable is empty.
    """

    def replace(match: re.Match[str]) -> str:
        body = _ENV_BODY.fullmatch(match[2]) if match[1] == "env" else None
        if body is None:
            return match[0]
        found = environ.get(body[1])
        if body[2] is not None:
            return found or body[2]
        return match[0] if found is None else found

    return transform(value, lambda text: _ANY.sub(replace, text))


def resolve_secrets(value: Any, secrets: Mapping[str, str]) -> Any:
    """Every `${secrets:NAME}` replaced whose value is given; the others stay."""

    def replace(match: re.Match[str]) -> str:
        return secrets.get(match[2], match[0]) if match[1] == "secrets" else match[0]

    return transform(value, lambda text: _ANY.sub(replace, text))


def secret_names(text: str) -> list[str]:
    return [name for kind, name in _ANY.findall(text) if kind == "secrets" and name]


def reference_problems(value: Any, environ: Mapping[str, str], at: Callable[[Path, str], Problem]) -> list[Problem]:
    """What is wrong with the references themselves. `at` makes a problem for a path."""
    found = []
    for path, text in strings(value):
        if "${" not in text:
            continue
        for kind, body in _ANY.findall(text):
            message = _fault(kind, body, path, environ)
            if message:
                found.append(at(path, message))
    return found


def _fault(kind: str, body: str, path: Path, environ: Mapping[str, str]) -> str | None:
    if kind == "env":
        parts = _ENV_BODY.fullmatch(body)
        if parts is None:
            return f"${{env:{body.partition(':')[0]}}} is not a variable's name"
        if parts[2] is None and parts[1] not in environ:
            return f"the environment variable {parts[1]} is not set, and ${{env:{parts[1]}}} gives no default"
        return None
    if kind == "secrets":
        if not body:
            return "${secrets:} names no secret"
        if path[:1] == ("secrets",):
            return f"{dotted(path[:1])} cannot refer to a secret: it says where secrets come from"
        return None
    near = closest(kind, _KINDS)
    return f"unknown reference ${{{kind}:…}}; did you mean ${{{near}:…}}?" if near else None
