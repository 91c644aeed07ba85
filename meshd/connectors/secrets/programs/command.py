"""`modelmesh.command.v1`: what one of the operator's commands prints.

Owns: where the secret's name goes. Must never: use a shell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from meshd.connectors.secrets.programs.running import PATIENCE, run
from meshd.sdk.secrets import SecretStore, SecretStoreError

_NAME = "{name}"


class CommandStore(SecretStore):
    """Settings: `command`, `set_command` (which gets the value on its standard input), `delete_command` and
    `list_command`: a program and its arguments, in which `{name}` is the secret's name; without it, the name is the
    last argument. `pass_env`: variables that they get, besides the usual ones."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__(settings)
        for key in ("command", "set_command", "delete_command", "list_command"):
            if settings.get(key) is not None and not settings[key]:
                raise ValueError(f"`{key}` names no program")

    def get(self, name: str) -> str:
        return self._run("command", name).rstrip("\r\n")

    def set(self, name: str, value: str) -> None:
        self._run("set_command", name, value)

    def delete(self, name: str) -> None:
        self._run("delete_command", name)

    def list(self) -> list[str]:
        return sorted(line for line in (each.strip() for each in self._run("list_command", None).splitlines()) if line)

    @property
    def writable(self) -> bool:
        return bool(self._settings.get("set_command"))

    def _run(self, key: str, name: str | None, stdin: str = "") -> str:
        command: Sequence[str] = self._settings.get(key) or ()
        if not command:
            raise SecretStoreError(f"`secrets` gives no `{key}`")
        return run(
            [*command] if name is None else _with_name(command, name),
            timeout=self._settings.get("timeout") or PATIENCE,
            stdin=stdin,
            passed_on=self._settings.get("pass_env") or (),
            more={} if name is None else {"SECRET_NAME": name},
        )


def _with_name(command: Sequence[str], name: str) -> list[str]:
    """Raises SecretStoreError for a name that a program could take for an option."""
    if not name or name.startswith("-") or "\0" in name:
        raise SecretStoreError(f"{name!r} cannot be an argument of a program")
    if any(_NAME in word for word in command):
        return [word.replace(_NAME, name) for word in command]
    return [*command, name]
