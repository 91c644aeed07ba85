"""Changes to settings files: what was meant, and not a character more."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as some

from meshd.cli.connect.edits import CannotEdit, Edit, Item, edited, undone, writer_of

JSONC = """\
// my settings
{
  "theme": "dark", // not light
  /* keys */
  "env": {
    "A": "1",
    "B": "x\\"y" // last
  },
  "list": [1, 2,],
}
"""


@pytest.mark.parametrize(
    ("path", "value", "was", "becomes"),
    [
        (("theme",), "light", '"theme": "dark"', '"theme": "light"'),
        (("env", "A"), "2", '"A": "1"', '"A": "2"'),
        (("env", "C"), "3", '"B": "x\\"y" // last', '"B": "x\\"y", // last\n    "C": "3"'),
        (("new",), {"x": 1}, '"list": [1, 2,],', '"list": [1, 2,],\n  "new": {\n    "x": 1\n  }'),
        (("list",), [], '"list": [1, 2,]', '"list": []'),
        (("env", "D", "E"), True, '"y" // last', '"y", // last\n    "D": {\n      "E": true\n    }'),
    ],
)
def test_json_with_comments(path: tuple[str, ...], value: Any, was: str, becomes: str) -> None:
    if was == '"y" // last':
        was, becomes = f'"B": "x\\{was}', f'"B": "x\\{becomes}'
    assert edited(JSONC, "json", [Edit(path, value)]) == JSONC.replace(was, becomes)


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        ("", '{\n  "a": {\n    "b": 1\n  }\n}\n'),
        ("// only this\n", '// only this\n{\n  "a": {\n    "b": 1\n  }\n}\n'),
        ("{}", '{\n  "a": {\n    "b": 1\n  }\n}'),
        ('{"x": 1}', '{"x": 1,\n  "a": {\n    "b": 1\n  }\n}'),
        ('{\n\t"x": 1\n}\n', '{\n\t"x": 1,\n\t"a": {\n\t\t"b": 1\n\t}\n}\n'),
        ('{\r\n    "x": 1\r\n}\r\n', '{\r\n    "x": 1,\r\n    "a": {\r\n        "b": 1\r\n    }\r\n}\r\n'),
        ('{"a": null, "x": 1}', '{"a": {\n  "b": 1\n}, "x": 1}'),
        ('{"a": {}, "a": {"b": 2}}', '{"a": {}, "a": {"b": 1}}'),
        ("null", '{\n  "a": {\n    "b": 1\n  }\n}'),
    ],
)
def test_json_of_any_kind(text: str, becomes: str) -> None:
    assert edited(text, "json", [Edit(("a", "b"), 1)]) == becomes


@pytest.mark.parametrize("text", ["{", '{"a" 1}', "[1] 2", '{"a": nope}', "{a: 1}", "[" * 5000, '{"a": "\n"}'])
def test_what_is_not_json_stays(text: str) -> None:
    with pytest.raises(CannotEdit):
        edited(text, "json", [Edit(("a",), 1)])


_KEYS = some.sampled_from(["a", "b", "env", "é", 'q"q', "x/y"])
_VALUES = some.recursive(
    some.none() | some.booleans() | some.integers(-9, 9) | some.text(max_size=5),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(_KEYS, inner, max_size=3),
    max_leaves=8,
)


def _is_in_the_way(data: Any, path: list[str]) -> bool:
    """Whether something else than a map stands on the path."""
    for key in path:
        if not isinstance(data, dict):
            return data is not None
        data = data.get(key)
    return False


@given(some.dictionaries(_KEYS, _VALUES), some.lists(_KEYS, min_size=1, max_size=3), _VALUES, some.booleans())
def test_any_json_has_the_value_afterwards(data: Any, path: list[str], value: Any, compact: bool) -> None:
    text = json.dumps(data, indent=None if compact else 2)
    if _is_in_the_way(data, path):
        with pytest.raises(CannotEdit):
            edited(text, "json", [Edit(tuple(path), value)])
        return
    made = edited(text, "json", [Edit(tuple(path), value)])
    found = writer_of("json").read(made)
    for key in path:
        found = found[key]
    assert found == value


@pytest.mark.parametrize(
    ("text", "format", "path"),
    [
        ('{"a": "text"}', "json", ("a", "b")),
        ("[1]", "json", ("a",)),
        ('a = "text"', "toml", ("a", "b")),
        ("a: text", "yaml", ("a", "b")),
        ("a: {b: 1}", "yaml", ("a", Item("x", "y"))),
    ],
)
def test_what_is_of_another_kind_is_not_replaced(text: str, format: str, path: tuple[str | Item, ...]) -> None:
    with pytest.raises(CannotEdit):
        edited(text, format, [Edit(path, {"x": "y"})])


TOML = """\
# mine
model = "gpt-5"   # the best
approval = "never"

[tools]
web = true # yes

[model_providers.mine] # keep
name = "Mine"
"""


def test_toml_keeps_comments_and_order() -> None:
    edits = [
        Edit(("model",), "chat"),
        Edit(("window",), 5),
        Edit(("model_providers", "meshd"), {"name": "meshd", "on": False}),
    ]
    made = edited(TOML, "toml", edits)
    assert [line for line in TOML.splitlines() if line not in made] == ['model = "gpt-5"   # the best']
    assert 'model = "chat"' in made
    assert "# the best" in made
    found = tomllib.loads(made)
    assert (found["window"], found["model_providers"]["meshd"]) == (5, {"name": "meshd", "on": False})
    assert found["model_providers"]["mine"] == {"name": "Mine"}
    assert edited(made, "toml", edits) == made


@pytest.mark.parametrize("text", ["", "# only\n", "a = 1\n", "[x]\na = 1\n", "model_providers = {m = {a = 1}}\n"])
def test_toml_of_any_kind(text: str) -> None:
    made = tomllib.loads(edited(text, "toml", [Edit(("m",), "c"), Edit(("model_providers", "n"), {"b": 2})]))
    assert (made["m"], made["model_providers"]["n"]) == ("c", {"b": 2})


def test_what_is_not_toml_stays() -> None:
    with pytest.raises(CannotEdit):
        edited("a = ", "toml", [Edit(("a",), 1)])


YAML = """\
# mine
name: My Config   # of 2026
models:
  # the first
  - name: one
    model: gpt-5  # good
    roles: [chat]

  - name: two
    model: other

# the rest
context:
  - provider: code
"""
ENTRY = {"name": "mesh", "model": "chat", "roles": ["chat"]}


def test_yaml_gets_an_item_at_the_end_of_a_list() -> None:
    edit = Edit(("models", Item("name", "mesh")), ENTRY)
    made = edited(YAML, "yaml", [edit])
    entry = "  - name: mesh\n    model: chat\n    roles:\n    - chat\n"
    assert made == YAML.replace("    model: other\n", f"    model: other\n{entry}")
    assert edited(made, "yaml", [edit]) == made


def test_yaml_gets_another_item_in_its_place() -> None:
    made = edited(YAML, "yaml", [Edit(("models", Item("name", "one")), {"name": "one", "model": "x"})])
    assert yaml.safe_load(made)["models"] == [{"name": "one", "model": "x"}, {"name": "two", "model": "other"}]
    for kept in ("# mine", "# of 2026", "# the first", "# the rest", "  - name: two\n    model: other\n"):
        assert kept in made


def test_yaml_gets_a_value_and_a_key() -> None:
    made = edited(YAML, "yaml", [Edit(("name",), "meshd: 1"), Edit(("base",), "http://127.0.0.1:1/v1")])
    assert made.replace("name: 'meshd: 1'", "name: My Config") == YAML + "base: http://127.0.0.1:1/v1\n"


@pytest.mark.parametrize(
    "text",
    [
        "", "# only\n", "models:\n", "models: []\n", "models: null # none\n", "a: 1", "models:\n- name: x",
        "---\na: 1\n",
        "models:\n- name: x\n  models:\n  - a\nb: 1\n", "a: |\n  text\n  more\n", "models:\r\n  - name: x\r\n",
    ],
)  # fmt: skip
def test_yaml_of_any_kind(text: str) -> None:
    before = yaml.safe_load(text) or {}
    made = edited(text, "yaml", [Edit(("models", Item("name", "mesh")), ENTRY), Edit(("z",), 1)])
    found = yaml.safe_load(made)
    assert found["models"][-1] == ENTRY
    assert {key: value for key, value in found.items() if key not in ("models", "z")} == {
        key: value for key, value in before.items() if key != "models"
    }


def test_yaml_whose_root_is_a_list() -> None:
    edits = [Edit((Item("model_id", name),), {"model_id": name, "n": 1}) for name in ("a", "b")]
    assert edited("", "yaml", edits) == "- model_id: a\n  n: 1\n- model_id: b\n  n: 1\n"
    mine = "# mine\n- model_id: old  # keep\n  x: 2\n"
    assert edited(mine, "yaml", edits) == mine + "- model_id: a\n  n: 1\n- model_id: b\n  n: 1\n"


@pytest.mark.parametrize("text", ["a: [", "a: 1\n---\nb: 2\n", "- 1\n", "{a: 1}\n", "a: &x 1\nb: *y\n", "just text\n"])
def test_yaml_that_cannot_be_changed_stays(text: str) -> None:
    with pytest.raises(CannotEdit):
        edited(text, "yaml", [Edit(("b", "c"), 1), Edit((Item("x", "y"),), {"x": "y"})])


def test_what_is_there_stays_if_only_a_new_one_is_wanted() -> None:
    assert edited("name: Mine\n", "yaml", [Edit(("name",), "x", only_new=True)]) == "name: Mine\n"
    assert edited("", "yaml", [Edit(("name",), "x", only_new=True)]) == "name: x\n"


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        ('{\n  "a": 1,\n  "m": {"x": 1},\n  "b": 2\n}\n', '{\n  "a": 1,\n  "b": 2\n}\n'),
        ('{\n  "a": 1, // one\n  "m": {"x": 1} // two\n}\n', '{\n  "a": 1 // one\n   // two\n}\n'),
        ('{"m": {"x": 1}}', "{}"),
        ('{"a": 1, "m": {"x": 1}}', '{"a": 1 }'),
        ('{"m": {"x": 1, "y": 2}}', '{"m": { "y": 2}}'),
        ('{\n\t"m": {\n\t\t"x": 1,\n\t},\n\t"a": 1,\n}', '{\n\t"a": 1,\n}'),
        ('{"a": 1}', '{"a": 1}'),
    ],
)
def test_json_without_what_was_written(text: str, becomes: str) -> None:
    assert undone(text, "json", [("m", "x")], "") == becomes


@given(
    some.dictionaries(_KEYS, _VALUES),
    some.lists(some.lists(_KEYS, min_size=1, max_size=3), max_size=3),
    some.booleans(),
)
def test_what_is_undone_means_what_it_meant(data: Any, paths: list[list[str]], compact: bool) -> None:
    before = json.dumps(data, indent=None if compact else 2)
    paths = [path for path in paths if not _is_in_the_way(data, path) and (_at_end(data, path) is not None)]
    try:
        text = edited(before, "json", [Edit(tuple(path), "meshd") for path in paths])
    except CannotEdit:  # one path runs through another's value
        return
    made = undone(text, "json", [tuple(path) for path in reversed(paths)], before)
    assert writer_of("json").read(made) == data


def _at_end(data: Any, path: list[str]) -> Any:
    """A value that is there, or a mark that there is none; None where null stands on the path, which becomes a map."""
    for key in path:
        if data is None:
            return None
        if key not in data:
            return "nothing"
        data = data[key]
    return data


def test_toml_without_what_was_written() -> None:
    edits = [Edit(("model",), "chat"), Edit(("window",), 5), Edit(("model_providers", "meshd"), {"name": "meshd"})]
    since = edited(TOML, "toml", edits) + '\n[projects."/x"]\ntrust = true\n'
    made = undone(since, "toml", [edit.path for edit in edits], TOML)  # type: ignore[misc]
    assert tomllib.loads(made) == {**tomllib.loads(TOML), "projects": {"/x": {"trust": True}}}
    assert all(line in made for line in TOML.splitlines() if line)


@pytest.mark.parametrize("format", ["json", "toml", "yaml"])
def test_a_file_without_end_is_refused(format: str) -> None:
    with pytest.raises(CannotEdit):
        edited(" " * (4 * 1024 * 1024 + 1), format, [Edit(("a",), 1)])
