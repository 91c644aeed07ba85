"""Files: syntax, lines, duplicate keys, three formats, environment references."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshd.config import MeshConfig
from meshd.config.read.loading import load_text
from modelmesh import ConfigurationError


def problems(text: str, format: str = "yaml", **environ: str) -> list[str]:
    config = MeshConfig.from_text(text, format, file="mesh", environ=environ)
    return [str(problem) for problem in config.validate()]


def test_yaml_lines() -> None:
    loaded = load_text("pools:\n  chat:\n    models:\n    - a\n    - b\n")
    assert loaded.raw == {"pools": {"chat": {"models": ["a", "b"]}}}
    assert loaded.lines["pools", "chat"] == 2
    assert loaded.lines["pools", "chat", "models", 1] == 5


def test_an_empty_file_is_an_empty_configuration() -> None:
    assert load_text("# nothing\n").raw == {}
    assert problems("") == []


@pytest.mark.parametrize(
    ("format", "text", "line", "word"),
    [
        ("yaml", "pools:\n  chat: [a\n", 3, "YAML"),
        ("yaml", "pools:\n\tchat: 1\n", 2, "YAML"),
        ("yaml", "a: *nowhere\n", 1, "YAML"),
        ("yaml", "- a list\n", 1, "map of sections"),
        ("toml", "[pools]\nchat = = 1\n", 2, "TOML"),
        ("toml", "a = 1\na = 2\n", 2, "TOML"),
        ("json", '{\n"pools": {,}\n}', 2, "JSON"),
        ("json", "[1]", 1, "map of sections"),
        ("json", '{"NaN": "NaN",\n"pools": [1,\nNaN]}', 3, "NaN is not a JSON value"),
        ("json", '{\n"pools": -Infinity}', 2, "-Infinity is not a JSON value"),
        ("json", '{\n"pools": 1' + "0" * 5000 + "}", 2, "a number of more than 4300 digits"),
        ("json", '{"a": {"b": {}},\n"pools": ' + "[" * 100_000 + "]" * 100_000 + "}", 2, "nested too deeply"),
    ],
)
def test_syntax_errors_have_a_line(format: str, text: str, line: int, word: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        MeshConfig.from_text(text, format, file="mesh")
    (problem,) = caught.value.problems
    assert problem["line"] == line
    assert word in problem["message"]
    assert str(caught.value).startswith(f"mesh:{line}: ")


def test_a_yaml_tag_cannot_make_an_object() -> None:
    (problem,) = problems("daemon:\n  socket: !!python/object/apply:os.system [id]\n") or [""]
    assert "mesh:2" in problem


def test_duplicate_keys() -> None:
    text = "daemon:\n  watch: true\n  log_level: info\n  watch: false\n"
    assert problems(text) == ["mesh:4: daemon.watch: is given twice, first on line 2"]
    assert problems('{"daemon": {"watch": true,\n "watch": false}}', "json") == [
        "mesh:2: daemon.watch: is given twice, first on line 1"
    ]


def test_merge_keys_and_anchors_are_yaml() -> None:
    text = """
pools:
  chat: &base
    capability: chat-completion
    retry: {max_attempts: 4}
  chat-2:
    <<: *base
    capability: text-completion
"""
    config = MeshConfig.from_text(text)
    assert config.validate() == []
    assert config.pools["chat-2"].retry.max_attempts == 4
    assert config.pools["chat-2"].capability == "text-completion"


def test_an_alias_of_itself_and_a_billion_aliases_are_refused() -> None:
    assert "contains itself" in problems("a: &a [*a]\n")[0]
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9)
    )
    with pytest.raises(ConfigurationError, match="too many values"):
        MeshConfig.from_text(bomb)


def test_keys_are_names_whatever_yaml_makes_of_them() -> None:
    config = MeshConfig.from_text("pools:\n  on:\n    capability: ocr\n  404:\n    capability: ocr\n")
    assert list(config.pools) == ["on", "404"]


def test_toml_lines() -> None:
    text = """
[providers.openai]
api_key = "${secrets:OPENAI_API_KEY}"

[pools.chat]
capability = "chat-completion"
[pools.chat.retry]
backof = "fixed"
"""
    assert problems(text, "toml") == ['mesh:8: pools.chat.retry.backof: unknown key; did you mean "backoff"?']


def test_toml_quoted_names_and_dotted_keys() -> None:
    text = '[providers.openai]\n[models."openai.gpt-4o"]\nweight = "heavy"\nconstraints.max_images = "many"\n'
    assert problems(text, "toml") == [
        "mesh:3: models.openai.gpt-4o.weight: expected a number, got 'heavy'",
        "mesh:4: models.openai.gpt-4o.constraints.max_images: expected a whole number, got 'many'",
    ]


@pytest.mark.parametrize("text", ["\\ud83d\\ude00", "\\ud83d", "\x7f", "\u2028", "\ufeff", "\\\\ud83d", "\\/\\n"])
def test_json_keeps_its_lines_whatever_its_texts_are(text: str) -> None:
    loaded = load_text(f'{{\n"{text}k": "{text}",\n"pools": 7\n}}', "json")
    assert not loaded.fatal
    assert loaded.lines["pools",] == 3


def test_json_with_tabs() -> None:
    text = '{\n\t"pools": {\n\t\t"chat": {"capability": "chat-completion", "retry": {"max_attempts": 0}}}}'
    assert problems(text, "json") == ["mesh:3: pools.chat.retry.max_attempts: expected a number of at least 1, got 0"]


def test_files_by_ending(tmp_path: Path) -> None:
    for name, text in {
        "mesh.yaml": "daemon: {log_level: debug}",
        "mesh.toml": "[daemon]\nlog_level = 'debug'",
        "mesh.json": '{"daemon": {"log_level": "debug"}}',
        "mesh.conf": "daemon: {log_level: debug}",
    }.items():
        (tmp_path / name).write_text(text)
        assert MeshConfig.from_file(tmp_path / name).daemon.log_level == "debug"


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        MeshConfig.from_file(tmp_path / "absent.yaml")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        MeshConfig.from_file(tmp_path)
    (tmp_path / "bytes.yaml").write_bytes(b"a: \xff\n")
    with pytest.raises(ConfigurationError, match="UTF-8"):
        MeshConfig.from_file(tmp_path / "bytes.yaml")


# -- environment --------------------------------------------------------------------------------------


def test_environment_references() -> None:
    text = "daemon:\n  log_level: ${env:LEVEL}\n  socket: ${env:DIR:-/run}/mesh.sock\n  watch: ${env:WATCH:-false}\n"
    config = MeshConfig.from_text(text, environ={"LEVEL": "error", "DIR": ""})
    assert config.validate() == []
    assert (config.daemon.log_level, config.daemon.socket, config.daemon.watch) == ("error", "/run/mesh.sock", False)
    assert config.raw["daemon"]["log_level"] == "${env:LEVEL}"


def test_missing_variables_are_problems_with_a_line() -> None:
    text = "daemon:\n  socket: ${env:NOWHERE}\n  state_dir: ${env:}\n"
    assert problems(text) == [
        "mesh:2: daemon.socket: the environment variable NOWHERE is not set, and ${env:NOWHERE} gives no default",
        "mesh:3: daemon.state_dir: ${env:} is not a variable's name",
    ]


def test_a_misspelt_reference_is_reported() -> None:
    assert "did you mean ${secrets:…}?" in problems("providers:\n  a:\n    api_key: ${secret:KEY}\n")[-1]


def test_what_came_from_the_environment_is_never_quoted() -> None:
    found = problems("daemon:\n  request_timeout: ${env:T}\n", T="sk-very-secret")
    assert found == [
        "mesh:2: daemon.request_timeout: expected a duration like 30s or a number of seconds, got '${env:T}'"
    ]
