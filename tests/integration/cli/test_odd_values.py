"""Odd values of every option and argument of every command: each ends in a sentence of ours."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from meshd.cli.entry import app
from tests.integration.cli.conftest import CONFIG
from tests.support.processes import meshctl

ODD = (
    *("-1", "0", "nan", "1e400", "9" * 40, "1" * 5000),
    *("", " ", "x", "é" * 3000, "\x1b[2J\x07", "\udcff", "x\ty\nz", "no/such/../place", "0001-01-01", "9999-12"),
)
NOT_OURS = re.compile(
    r"pydantic|ValidationError|Input should|invalid literal|could not convert|[a-z]Error\b|this is a bug"
    r"|Internal error in the daemon"
)
UNTOLD = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
"""What no terminal may get."""
ENDS = (0, 1, 2)

USUAL = {
    **dict.fromkeys(("prompt", "text", "query"), "hi"),
    **dict.fromkeys(("file", "source", "target"), "FILE"),
    **dict.fromkeys(("model", "pool"), "talk"),
    "model_id": "first.chat",
    "gateway": "litellm",
    "to": "de",
}
"""Values that commands can do something with."""


def leaves(command: Any, above: Any, name: str) -> Iterator[tuple[str, Any]]:
    ctx = command.context_class(command, info_name=name, parent=above)
    if hasattr(command, "list_commands"):
        for each in command.list_commands(ctx):
            yield from leaves(command.get_command(ctx, each), ctx, each)
    else:
        yield ctx.command_path.partition(" ")[2], command


COMMANDS = dict(leaves(typer.main.get_command(app), None, "meshctl"))
OPTIONS = [
    (name, param)
    for name, command in COMMANDS.items()
    for param in command.params
    if not getattr(param, "is_flag", False)
]


def words(name: str, odd: Any, value: str) -> list[str]:
    """The command with this value, and with usual ones where others are required."""
    given, arguments = name.split(), []
    for param in COMMANDS[name].params:
        text = value if param is odd else USUAL.get(param.name, "x")
        if param.param_type_name == "argument":
            arguments += [text] if param is odd or param.required else []
        elif param is odd or (param.required and not param.is_flag):
            given.append(f"{max(param.opts, key=len)}={text}")
    return [*given, "--", *arguments]


@pytest.fixture(scope="module")
def shared(module_meshd: Any) -> Any:
    return module_meshd(CONFIG)


@pytest.mark.timeout(180)
@pytest.mark.parametrize(("name", "param"), OPTIONS, ids=[f"{name} {param.name}" for name, param in OPTIONS])
def test_an_odd_value_ends_in_a_sentence(name: str, param: Any, shared: Any, meshd: Any, short: Path) -> None:
    daemon = meshd(CONFIG) if name == "drain" else shared
    (short / "FILE").write_text("{}")
    homes = dict.fromkeys(("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"), str(short))
    for odd in ODD:
        done = meshctl.run(*words(name, param, odd), directory=short, MESH_SOCKET=str(daemon.socket), **homes)
        assert not NOT_OURS.search(done.stderr), (odd, done.stderr)
        assert done.returncode in ENDS, (odd, done.stderr)
        assert not UNTOLD.search(done.stdout + done.stderr), (odd, done.stdout, done.stderr)
        assert not done.returncode or done.stderr.strip(), odd
