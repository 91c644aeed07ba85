"""Every command and program of README, the reference and the explanations is run beside one daemon, page by page.

Pages of docs/start and docs/how-to are done by `test_pages.py`, docs/routing.md by `test_documented_routing.py`,
docs/connectors.md by `tests/integration/plugins`. What is not typed is in `left_out.toml`.
"""

from __future__ import annotations

import re
import shutil
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.support.pages.blocks import steps_of
from tests.support.pages.house import OPENAI_KEY, House, furnish
from tests.support.pages.shell import Shell

pytestmark = pytest.mark.timeout(180)
ROOT = Path(__file__).parents[3]
ELSEWHERE = ("docs/start/", "docs/how-to/", "docs/routing.md", "docs/connectors.md")
PAGES = [
    str(page.relative_to(ROOT))
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
    if not str(page.relative_to(ROOT)).startswith(ELSEWHERE) and re.search(r"```(sh|console|python)", page.read_text())
]
LEFT_OUT = tomllib.loads(Path(__file__).with_name("left_out.toml").read_text(encoding="utf-8"))["command"]

# Programs of users, which play a sound, copy a text, edit a file, or know a key.
OTHERS = {
    **dict.fromkeys(("mpv", "aplay", "wl-copy"), "exec cat >/dev/null"),
    "claude": "",
    "pass": f"echo {OPENAI_KEY}",
}
# What has to be there, or must not, before a command is typed; and what is piped into one that would ask for a secret.
BEFORE = {
    r"^meshctl import ": "rm -f mesh.yaml; ",
    r"^meshctl config init": "export HOME=$(mktemp -d -p .); ",
    r"^meshctl connect \w+ --restore": "meshctl connect claude --yes >/dev/null 2>&1; ",
    r"^meshctl secrets delete": "echo an-old-one | meshctl secrets set OLD_API_KEY; ",
    r"^meshctl secrets set": f"echo {OPENAI_KEY} | ",
    r"^meshctl secrets rotate": f"echo {OPENAI_KEY}-$RANDOM | ",
}
ENDS_WITH = {r"batch results .* --errors": 1}  # there are none
# What the programs of a page take as given, before the first, and what is waited for before the last.
GIVEN = {
    "README.md": "def ChatOpenAI(**options): return options\n",
    "docs/http.md": "import openai\nfrom google import genai\nclient = openai.OpenAI(api_key='-', base_url='http://127.0.0.1:8741/v1')\n",
}
LATER = {
    "rows = ": "while batch.status != 'completed': batch = client.batches.retrieve(batch.id)\n",
}


class World(NamedTuple):
    """batches: text of the documents → an id."""

    shell: Shell
    address: str
    batches: dict[str, str]


@pytest.fixture(scope="module")
def world(module_meshd: Any, module_short: Path) -> Iterator[World]:
    house, keys = House(), module_short / "keys"
    keys.mkdir(mode=0o700)
    proxy = {"enabled": True, "port": "auto", "socket": str(module_short / "meshd" / "http.sock")}
    (module_short / "meshd").mkdir(mode=0o700)
    daemon = module_meshd({**house.config(keys), "proxy": proxy})
    environment = {
        "MESH_SOCKET": str(daemon.socket),
        "MESHD_CONFIG": str(daemon.config),
        "XDG_RUNTIME_DIR": str(module_short),
        "EDITOR": "true",
    }
    shell = Shell(module_short, environment, OTHERS)
    furnish(shell.home)
    prepared = (
        "git init -q . && git add a.txt && echo more >> a.txt && mkdir -p work/api && git init -q work/api",
        "cd work/api && meshctl chat 'Say hello'",
        "meshctl batch submit lines.jsonl --wait",
        "meshctl batch submit slow.jsonl",
    )
    for command in prepared:
        status, said = shell.run(command)
        assert status == 0, f"{command}\n{said}"
    batches = [each["id"] for each in daemon.ask("GET", "/v1/batches")["data"]]
    yield World(shell, daemon.status()["http"]["addresses"][0], dict(zip(("running", "done"), batches, strict=True)))
    house.close()
    shell.close()


@cache
def commands_of(page: str) -> list[tuple[int, str]]:
    """(line in the page, command)"""
    found: list[tuple[int, str]] = []
    for step in steps_of(ROOT / page):
        if step.kind == "console":
            found.append((step.line, step.text))
        elif step.kind == "sh":
            typed = step.text.replace("\\\n", " ").splitlines()
            found += [(step.line, line) for line in typed if line.strip() and not line.startswith("#")]
    return found


def left_out(command: str) -> bool:
    return any(re.search(row["has"], command) for row in LEFT_OUT)


@pytest.mark.parametrize("page", PAGES)
def test_every_command_works(page: str, world: World) -> None:
    faults = []
    for line, command in commands_of(page):
        if not (left_out(command) or ("jq" in command and shutil.which("jq") is None)):
            status, said = world.shell.run(as_typed(command, world), "y\n")
            if status != ends_with(command):
                faults.append(f"{page}:{line}: {command}\nends with {status}:\n{said}")
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("page", [page for page in PAGES if "```python" in (ROOT / page).read_text()])
def test_programs_work(page: str, world: World) -> None:
    texts = [step.text for step in steps_of(ROOT / page) if step.kind == "python"]
    program = here("\n".join([GIVEN.get(page, ""), *texts]), world)
    for line, text in LATER.items():
        program = program.replace(f"\n{line}", f"\n{text}{line}")
    furnish(world.shell.home)  # commands have written there, too
    (world.shell.home / "program.py").write_text(program)
    status, said = world.shell.run(f"{sys.executable} program.py")
    assert status == 0, said


def test_what_is_left_out_is_there_and_is_tried_elsewhere() -> None:
    every = [command for page in PAGES for _, command in commands_of(page)]
    assert len(every) > 150
    for row in LEFT_OUT:
        assert (ROOT / row["tried"]).exists(), row
        assert any(re.search(row["has"], command) for command in every), row


def as_typed(command: str, world: World) -> str:
    batch = world.batches["running" if "cancel" in command else "done"]
    before = [text for has, text in BEFORE.items() if re.search(has, command)]
    return "".join([*before, here(command, world).replace("batch_0123", batch)])


def here(text: str, world: World) -> str:
    """With this machine's own places."""
    return text.replace("http://127.0.0.1:8741", world.address).replace("/etc/meshd/mesh.yaml", "$MESHD_CONFIG")


def ends_with(command: str) -> int:
    return next((status for has, status in ENDS_WITH.items() if re.search(has, command)), 0)
