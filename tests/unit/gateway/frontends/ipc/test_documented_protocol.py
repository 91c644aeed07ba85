"""docs/protocol.md says what the code does: every example message, and the tables of keys and errors."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from modelmesh import errors as errors
from modelmesh import protocol as wire

PAGE = (Path(__file__).parents[5] / "docs" / "protocol.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    return re.split(r"^##+ ", PAGE.split(f" {title}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]


def rows(text: str) -> list[list[str]]:
    """The cells of every table in a text, without heads and rules."""
    found: list[list[str]] = []
    for line in text.splitlines():
        if line.startswith("| ---"):
            found = found[:-1]  # what stood before is the table's head
        elif line.startswith("|"):
            found.append([cell.strip() for cell in line.strip("|").split("|")])
    return found


def plain(cell: str) -> str:
    return cell.strip("`")


class Example(msgspec.Struct):
    kind: str
    frames: list[bytes]
    says: list[str]


def examples() -> list[Example]:
    found = []
    for kind, byte in {name: byte for byte, name in wire.KIND_NAMES.items()}.items():
        for block in re.findall(r"```frames\n(.*?)```", section(kind), flags=re.DOTALL):
            frames, says = [], []
            for line in block.splitlines():
                if line.startswith("     "):
                    says.append(line.strip())
                else:
                    frames.append(bytes.fromhex(line[5:].replace("-", "")))
            assert frames[0] == byte
            found.append(Example(kind, frames, says))
    return found


EXAMPLES = examples()


def test_every_kind_has_an_example():
    assert {example.kind for example in EXAMPLES} == set(wire.KIND_NAMES.values())
    assert len(EXAMPLES) == PAGE.count("```frames")


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.kind)
def test_examples_decode_to_what_they_say_and_encode_back(example: Example):
    message = wire.decode(example.frames)
    says = list(example.says)
    if example.frames[2]:
        assert msgspec.msgpack.decode(example.frames[2]) == json.loads(says.pop(0))
    if example.frames[3]:
        assert example.frames[3].decode() == says.pop(0)
    assert says == []
    head = message.head if example.frames[2] else None
    assert wire.encode(message.kind, message.request_id, head, message.body) == example.frames


def test_the_kinds():
    listed = {plain(row[0]): row for row in rows(section("Messages")) if plain(row[0]) in wire.KIND_NAMES.values()}
    assert {name: bytes.fromhex(plain(row[1])) for name, row in listed.items()} == {
        name: byte for byte, name in wire.KIND_NAMES.items()
    }
    for name, row in listed.items():
        empty = all(not example.frames[1] for example in EXAMPLES if example.kind == name)
        assert (row[3] == "empty") == empty, name


@pytest.mark.parametrize("kind", sorted(wire.HEAD_TYPES), ids=lambda kind: wire.KIND_NAMES[kind])
def test_the_keys_of_heads(kind: bytes):
    fields = msgspec.structs.fields(wire.HEAD_TYPES[kind])
    table = [row for row in rows(section(wire.KIND_NAMES[kind])) if len(row) == 4]
    documented = {plain(row[0]): plain(row[2]) for row in table}
    assert documented == {field.encode_name: default_of(field) for field in fields}


def default_of(field: Any) -> str:
    if field.required:
        return "required"
    default = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
    return "nil" if default is None else json.dumps(default)


def test_the_errors():
    listed = {plain(row[0]): [plain(cell) for cell in row[1:4]] for row in rows(section("Errors")) if len(row) == 5}
    expected = {
        name: [str(cls.status_code), cls.code, "yes" if cls.retryable_by_default else "no"]
        for name, cls in errors.BY_NAME.items()
        if not name.startswith("_")
    }
    assert {name: row for name, row in listed.items() if name.endswith(("Error", "Interrupted"))} == {
        name: row for name, row in expected.items() if name in listed
    }
    own = {name for name, cls in vars(errors).items() if isinstance(cls, type) and issubclass(cls, errors.MeshError)}
    aliases = {"OpenAIError", "APIError", "BadRequestError"}
    assert {name for name in own if not name.startswith("_")} - aliases == {
        name for name in listed if not name.startswith("_")
    }


def test_limits_and_times_named_in_the_text():
    assert f"| `credit` | int | `{wire.DEFAULT_CREDIT}` |" in PAGE
    assert f"| `heartbeat_ms` | int | `{int(wire.HEARTBEAT_SECONDS * 1000)}` |" in PAGE
    from meshd.gateway.frontends import admission

    assert (
        f"the last {admission.REMEMBERED_ANSWERS} whole answers of up to {admission.REMEMBERED_BYTES // 1024} KiB"
        in PAGE
    )


def _dispatcher():
    from meshd.connectors.registry import default_registry
    from meshd.gateway.actors import Actors
    from meshd.gateway.router import Router

    return Router(default_registry(), Actors(lambda name, message: None, None, lambda work: None)).dispatcher


def test_operations_that_wait_are_found_by_each_of_their_paths():
    everything = [(method, path) for method, path, _ in _dispatcher().operations()]
    lasting = _dispatcher()
    for method, path in reversed(everything):  # so that no other path of the group adds it before
        asked = f"{path}x" if path.endswith("/") else path
        assert method in lasting.methods(asked), path


def test_the_operations_are_those_of_the_dispatch_table():
    from meshd.operations.known import by_path

    served = {(f"POST {path}", False, False) for path in by_path()} | {("GET /metrics", False, False)}
    for method, path, operation in _dispatcher().operations():
        shown = f"{path}NAME" if path.endswith("/") else path
        served.add((f"{method} {shown}", operation.admin, operation.stream is not None))
    documented = set()
    for row in rows(section("Operations")):
        operation = plain(row[0])
        own = "/mesh/v1/" in operation
        documented.add((operation, own and row[1] == "yes", own and "streams" in row[2]))
    assert documented == served
