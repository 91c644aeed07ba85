"""What the documents, `--help` and messages name exists: commands, options, keys, variables, paths. Examples parse."""

from __future__ import annotations

import ast
import json
import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import typer
import yaml
from pydantic import BaseModel

from meshd.cli.entry import app
from meshd.config.mesh_config import MeshConfig
from meshd.config.schema import RootConfig
from meshd.config.schema_walk import find_faults, keys_of
from meshd.connectors.providers.scripted.script import Fault, Script

ROOT = Path(__file__).parents[3]
PAGES = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "SECURITY.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
SOURCES = [*sorted((ROOT / "meshd").rglob("*.py")), *sorted((ROOT / "client").rglob("*.py"))]
_FENCE = re.compile(r"^( *)```(\w+)(?: title=\"[^\"]*\")?\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
_QUOTED = re.compile(r"`([^`\n]+(?:\n[^`\n]+)?)`")  # one line break at most


class Place(NamedTuple):
    """text: as in the file, but for the indentation of a block. kind: the language of a block, or empty."""

    where: str
    text: str
    kind: str = ""


def _at(path: Path, source: str, offset: int) -> str:
    return f"{path.relative_to(ROOT)}:{source.count(chr(10), 0, offset) + 1}"


@cache
def blocks() -> list[Place]:
    found = []
    for page in PAGES:
        source = page.read_text(encoding="utf-8")
        for block in _FENCE.finditer(source):
            text = re.sub(f"^{block[1]}", "", block[3], flags=re.MULTILINE)
            found.append(Place(_at(page, source, block.start()), text, block[2]))
    return found


@cache
def quoted(of_code: bool = True) -> list[Place]:
    """What stands in backticks; of code, in its comments and strings."""
    found = []
    for path in [*PAGES, *(SOURCES if of_code else ())]:
        source = path.read_text(encoding="utf-8")
        text = _FENCE.sub(lambda block: "\n" * block[0].count("\n"), source)
        found += [Place(_at(path, source, each.start()), " ".join(each[1].split())) for each in _QUOTED.finditer(text)]
    return found


def lines(kind: str, text: str) -> list[str]:
    """The commands of a block; of a console, what is typed."""
    joined = text.replace("\\\n", " ")
    if kind == "console":
        return re.findall(r"^\$ (.*)$", joined, re.MULTILINE)
    return joined.splitlines()


# -- examples ----------------------------------------------------------------------------------------------


def fault(block: Place) -> str | None:
    try:
        match block.kind:
            case "python":
                ast.parse(block.text)
            case "json":
                json.loads(block.text)
            case "toml":
                tomllib.loads(block.text)
            case "yaml":
                yaml.safe_load(block.text)
    except (SyntaxError, ValueError, yaml.YAMLError) as error:
        return f"{block.where}: {error}"
    return None


def test_examples_parse() -> None:
    assert [found for block in blocks() if (found := fault(block))] == []
    kinds = {block.kind for block in blocks()}
    assert kinds == {"python", "json", "toml", "yaml", "sh", "console", "frames", "ini", "text"}


def test_shell_examples_parse() -> None:
    typed = "\n".join("\n".join(lines(each.kind, each.text)) for each in blocks() if each.kind in ("sh", "console"))
    done = subprocess.run(["bash", "-n"], input=typed, capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stderr) == (0, "")


def whole(block: Place) -> str:
    """The configuration, with what it takes as given: the models of docs/routing.md's first, a token's hash."""
    text = block.text.replace("SHA256", "0" * 64)
    if block.where.startswith("docs/routing.md") and "providers:" not in text:
        first = next(each for each in blocks() if each.where.startswith("docs/routing.md") and each.kind == "yaml")
        text = first.text + text
    return text


def test_the_page_names_every_fault_of_a_script() -> None:
    page = (ROOT / "docs/how-to/testing.md").read_text(encoding="utf-8")
    shown = {*re.findall(r"fault: (\w+)", page), *re.findall(r"`(\w+)`", page.partition("Other faults:")[2])}
    assert {*Fault} - shown == {"raw"}  # a text of the tests' own


def test_configurations_are_valid(tmp_path: Path) -> None:
    """As by `meshctl config validate`. Those with connectors of a package: tests/integration/plugins."""
    faults, valid = [], 0
    for block in blocks():
        value = yaml.safe_load(block.text) if block.kind == "yaml" else None
        if not isinstance(value, dict) or "scrape_configs" in value:  # the latter is Prometheus' own
            continue
        found: list[Any] = []
        if "acme" in block.text:
            find_faults(RootConfig, value, (), lambda *said, into=found: into.append(said))
        else:
            file = tmp_path / "mesh.yaml"
            file.write_text(whole(block), encoding="utf-8")
            found += MeshConfig.from_file(file, environ={}).validate()
            valid += not found
            for provider in (value.get("providers") or {}).values():
                if "scripted" in provider.get("connector", ""):
                    Script(provider)  # raises ScriptError
        faults += [f"{block.where}: {each}" for each in found]
    assert faults == []
    assert valid > 50


# -- names -------------------------------------------------------------------------------------------------


@cache
def root_command() -> Any:
    return typer.main.get_command(app)


def misused(words: list[str]) -> str | None:
    """What is wrong with the words behind `meshctl`, as far as they are no placeholders."""
    command, context = root_command(), typer.main.get_command(app).make_context("meshctl", [], resilient_parsing=True)
    path = "meshctl"
    known = {"-h", "--help", *(option for param in command.params for option in param.opts)}
    for word in words:
        if word in ("|", "&&", ";", ">", "<", "#", "||", "2>&1"):
            break
        if word.startswith("-") and len(word) > 1:
            option = word.partition("=")[0]
            if option not in known and not option[1:].isdigit():
                return f"{path} has no {option}"
        elif hasattr(command, "commands"):
            if not re.fullmatch(r"[a-z][a-z-]*", word):  # a placeholder
                break
            below = command.get_command(context, word)
            if below is None:
                return f"{path} has no {word}"
            command, path = below, f"{path} {word}"
            known |= {option for param in command.params for option in (*param.opts, *param.secondary_opts)}
    return None


_BEFORE = r"(?:sudo|&&|\||nohup|-u meshd) "


def commands(program: str) -> Iterator[tuple[str, list[str]]]:
    """(where, words behind the program's name) of each use in the documents and in backticks elsewhere."""
    texts = [Place(block.where, line) for block in blocks() for line in lines(block.kind, block.text)]
    for where, text, _ in [*texts, *quoted()]:
        for found in re.finditer(rf"(?:^|[/(]|{_BEFORE}){program} ([^`]+)", text):
            try:
                words = shlex.split(re.sub(r"[)…].*$", "", found[1]), comments=True)
            except ValueError:  # a quotation that is cut
                words = found[1].split()
            yield where, words


def test_commands_and_options_exist() -> None:
    used = list(commands("meshctl"))
    assert [f"{where}: {said}" for where, words in used if (said := misused(words))] == []
    assert len(used) > 150


def test_options_of_the_daemon_exist() -> None:
    known = set(re.findall(r'"(--?[a-z-]+)"', (ROOT / "meshd/app/parser.py").read_text(encoding="utf-8")))
    assert "--config" in known
    used = [(where, word) for where, words in commands("meshd") for word in words if word.startswith("-")]
    assert [f"{where}: {word}" for where, word in used if word.partition("=")[0] not in known] == []


def unknown_key(path: str) -> str | None:
    """The first key of a dotted path that its section does not have."""
    section: type[BaseModel] | None = RootConfig
    is_entry = False
    for name in path.split("."):
        if is_entry:  # any name
            is_entry = False
            continue
        if section is None:
            return None
        key = keys_of(section).get(name)
        if key is None:
            return name
        section, is_entry = key.below, key.many
    return None


def test_keys_exist() -> None:
    sections = "|".join(RootConfig.model_fields)
    dotted = re.compile(rf"(?<![\w./-])((?:{sections})(?:\.(?:NAME|ID|[a-z_]+))+)(?=$|[\s:,)])")
    used = [
        (where, key)
        for where, text, _ in quoted(of_code=False)
        if not where.startswith("docs/configuration.md")  # made from the schema; some of its keys are relative
        for key in dotted.findall(text)
    ]
    assert [f"{where}: {key}: {name}" for where, key in used if (name := unknown_key(key))] == []
    assert len(used) > 50


def test_variables_exist() -> None:
    code = "\n".join(path.read_text(encoding="utf-8") for path in SOURCES)
    known = set(re.findall(r"\bMESH(?:D|CTL)?_[A-Z_]+", code))
    used = {name for page in PAGES for name in re.findall(r"\$\{?(MESH(?:D|CTL)?_[A-Z_]+)", page.read_text("utf-8"))}
    assert used - known == {"MESHD_API_KEY"}  # Zed's own name for the key of a provider called meshd


def test_paths_over_http_are_those_of_the_description() -> None:
    described = yaml.safe_load((ROOT / "docs/openapi.yaml").read_text(encoding="utf-8"))["paths"]
    table = (ROOT / "docs/http.md").read_text(encoding="utf-8").partition("## Paths")[2].partition("###")[0]
    rows = [row for row in table.splitlines() if row.startswith("| `")]
    shown = {path for row in rows for path in re.findall(r"(/[\w/:]*)(?=[`, ])", row.split("|")[1])}
    known = {re.sub(r"\{[a-z_]+\}", "ID", path) for path in described if not path.startswith("/providers/")}
    assert {path for path in shown if not path.startswith("/providers/")} == known


def test_targets_of_make_exist() -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    known = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    used = set(re.findall(r"(?:`|^(?:\$ )?)make ([a-z-]+)", text, re.MULTILINE))
    assert "lint" in used
    assert used - known == set()
