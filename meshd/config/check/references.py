"""`${env:NAME}` and `${secrets:NAME}` in strings.

Owns: finding and substituting references anywhere in a configuration, and recognising lookalikes.
Must never: put a resolved value into a problem.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from meshd.config.check.problems import Problem
from meshd.core.text.key_path import Path, dotted
from meshd.core.text.redaction import is_secret_path
from modelmesh.wording import likeliest

_OPEN = re.compile(r"\$\{([A-Za-z_]+):")
_ENV_BODY = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)
_SHELL = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
_BARE = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)")
_OTHERS = re.compile(r"\{\{\s*(?:env\.|secrets\.|\.Env\.)?([A-Za-z_][A-Za-z0-9_]*)\s*\}\}|%([A-Z_][A-Z0-9_]*)%")
_TOLD_ELSEWHERE = re.compile(
    r"(?:\$?(?:env|ENV)[:.]|os\.environ[/.]|process\.env\.|\$\(|\$?\{?secrets?[:.]|\{env[:.])"
    r"\s*([A-Za-z_][A-Za-z0-9_]*)\s*[)}]?"
)
"""The forms of LiteLLM, PowerShell, JavaScript and make, and ours with a missing character."""
_PLACEHOLDERS = re.compile(r"<[^<>]+>|(?:\w+-)?(?:\.{3}|…)|your[-_ ].*(?:key|token|secret).*", re.I)
"""Example values that cannot be keys. `advice.py` reports other words (EMPTY, changeme)."""
IS_PLACEHOLDER = "is a placeholder: write the key itself, or ${secrets:NAME} for the environment's NAME"
_HALF = re.compile("[\ud800-\udfff]")
"""A JSON file can contain them as escapes."""
_KINDS = ("env", "secrets")
_DEEPEST = 8
"""How many references may be nested in the defaults of references."""


class _Reference(msgspec.Struct, frozen=True):
    """One `${kind:body}`, from `start` to `end` in its text. A default in it may hold others."""

    start: int
    end: int
    kind: str
    body: str


def _references(text: str) -> Iterator[_Reference]:
    """The outermost references of a text: each ends where its braces do."""
    position = 0
    while (opened := _OPEN.search(text, position)) is not None:
        end = _closed(text, opened.end())
        if end is None:
            position = opened.end()
            continue
        body = text[opened.end() : end - 1]
        yield _Reference(opened.start(), end, opened[1], body.strip() if opened[1] == "secrets" else body)
        position = end


def _closed(text: str, position: int) -> int | None:
    depth = 1
    while position < len(text):
        if text.startswith("${", position):
            depth += 1
            position += 1
        elif text[position] == "}":
            depth -= 1
            if depth == 0:
                return position + 1
        position += 1
        if depth > _DEEPEST:
            return None
    return None


def strings(value: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Every string of a structure, with its path."""
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


def _substituted(text: str, replacement: Callable[[_Reference], str | None]) -> str:
    """The text with each reference replaced, if it has a replacement."""
    parts: list[str] = []
    position = 0
    for found in _references(text):
        new = replacement(found)
        if new is not None:
            parts += text[position : found.start], new
            position = found.end
    return "".join([*parts, text[position:]])


def resolve_env(value: Any, environ: Mapping[str, str]) -> Any:
    """Every `${env:…}` replaced; one with neither value nor default stays.

    As in a shell, `:-` also applies when the variable is empty, and a default may hold references.
    """

    def replacement(found: _Reference) -> str | None:
        body = _ENV_BODY.fullmatch(found.body) if found.kind == "env" else None
        if body is None:
            return None
        value = environ.get(body[1])
        if body[2] is not None:
            return value or _substituted(body[2], replacement)
        return value

    return transform(value, lambda text: _substituted(text, replacement))


def resolve_secrets(value: Any, secrets: Mapping[str, str]) -> Any:
    """Every `${secrets:NAME}` with a given value replaced; the others stay."""

    def replacement(found: _Reference) -> str | None:
        return secrets.get(found.body) if found.kind == "secrets" else None

    return transform(value, lambda text: _substituted(text, replacement))


def secret_names(text: str) -> list[str]:
    return [found.body for found in _references(text) if found.kind == "secrets" and found.body]


def env_values(text: str, environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """(name, value) of each `${env:…}`, and of those in defaults. A default is the value of a variable without one."""
    for found in _references(text):
        body = _ENV_BODY.fullmatch(found.body) if found.kind == "env" else None
        if body is not None:
            default = body[2] or ""
            yield body[1], environ.get(body[1]) or resolve_env(default, environ)
            yield from env_values(default, environ)


def reference_problems(value: Any, environ: Mapping[str, str], at: Callable[[Path, str], Problem]) -> list[Problem]:
    """What is wrong with the references themselves. at: makes a problem from a path and a message."""
    found = []
    for path, text in strings(value):
        faults = dict.fromkeys([*_faults(text, path, environ), *_lookalikes(text, path)])
        found += [at(path, fault) for fault in faults]
    return found


def _faults(text: str, path: Path, environ: Mapping[str, str]) -> Iterator[str]:
    if _HALF.search(text):
        yield "contains half of a character (\\ud800 to \\udfff), which no file or network can hold"
    for found in _references(text):
        message = _fault(found.kind, found.body, path, environ)
        if message:
            yield message
        body = _ENV_BODY.fullmatch(found.body) if found.kind == "env" else None
        if body is not None and body[2] and not environ.get(body[1]):
            yield from _faults(body[2], path, environ)
    for opened in _OPEN.finditer(text):
        if opened[1] in _KINDS and _closed(text, opened.end()) is None:
            yield f"${{{opened[1]}:… is not closed by a }}"


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
        name, separator, _ = body.partition(":-")
        if separator:
            return f"${{secrets:{name}}} takes no default"
        if path[:1] == ("secrets",):
            return f"{dotted(path[:1])} cannot refer to a secret: it says where secrets come from"
        return None
    near = likeliest(kind, _KINDS)
    return f"unknown reference ${{{kind}:…}}; did you mean ${{{near}:…}}?" if near else None


def _lookalikes(text: str, path: Path) -> Iterator[str]:
    """Texts that would be references in a shell, a compose file or a template. In free text they may be intended."""
    if not _takes_references(path):
        return
    kind = "secrets" if is_secret_path(path) else "env"
    for shell in _SHELL.finditer(text):
        name, default = shell[1], shell[2]
        if default is None:
            yield f"${{{name}}} has no kind; did you mean ${{{kind}:{name}}}?"
        else:
            yield f"${{{name}:-…}} has no kind; did you mean ${{env:{name}:-…}}?"
    bare = _bare(text.strip(), kind)
    if bare:
        yield f"{text.strip()} is taken literally; did you mean ${{{kind}:{bare}}}?"
    elif kind == "secrets" and path[:1] != ("providers",) and is_unfilled(text):
        yield IS_PLACEHOLDER


def is_unfilled(text: str) -> bool:
    return _PLACEHOLDERS.fullmatch(text.strip()) is not None


def _bare(text: str, kind: str) -> str | None:
    """The name in another program's form of reference. An address may begin with `env:`; a key never does."""
    elsewhere = [_TOLD_ELSEWHERE] if kind == "secrets" and not _OPEN.match(text) else []
    for pattern in (_BARE, _OTHERS, *elsewhere):
        found = pattern.fullmatch(text)
        if found is not None:
            return next(group for group in found.groups() if group)
    return None


def _takes_references(path: Path) -> bool:
    """Not in a request's parameters, a script, or the values of a secret store, which may contain any text."""
    return not {"defaults", "overrides", "script", "values", "command", "args"} & set(path)
