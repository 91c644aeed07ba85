"""Files as editors, word processors and other tools leave them: read as meant, or told in words with the line."""

from __future__ import annotations

import codecs
import json
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshd.config import MeshConfig
from meshd.config.advice import remarks
from meshd.config.read.characters import MOST_BYTES
from meshd.config.read.loading import load_file, load_text
from modelmesh import ConfigurationError

BODIES = {
    "yaml": "daemon:\n  log_level: debug # grün\n",
    "toml": "[daemon]\nlog_level = 'debug' # grün\n",
    "json": '{"daemon":\n {"log_level": "debug"}}\n',
}
MARKED = {
    "utf-8": codecs.BOM_UTF8,
    "utf-16-le": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE,
    "utf-32-le": codecs.BOM_UTF32_LE,
    "utf-32-be": codecs.BOM_UTF32_BE,
}


@pytest.mark.parametrize("format", BODIES)
@pytest.mark.parametrize("encoding", MARKED)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_byte_order_marks_and_line_ends(tmp_path: Path, format: str, encoding: str, end: str) -> None:
    file = tmp_path / f"mesh.{format}"
    file.write_bytes(MARKED[encoding] + BODIES[format].replace("\n", end).encode(encoding))
    config = MeshConfig.from_file(file)
    assert config.validate() == []
    assert config.daemon.log_level == "debug"


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_mark(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "mesh.yaml").write_bytes(BODIES["yaml"].encode(encoding))
    assert MeshConfig.from_file(tmp_path / "mesh.yaml").daemon.log_level == "debug"


def test_other_encodings_are_told_with_the_line(tmp_path: Path) -> None:
    (tmp_path / "mesh.yaml").write_bytes("daemon:\n  # grün\n".encode("latin-1"))
    (problem,) = load_file(str(tmp_path / "mesh.yaml")).problems
    assert "not UTF-8 text" in problem.message
    assert "line 2" in problem.message


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    with open(tmp_path / "mesh.yaml", "wb") as file:
        file.truncate(MOST_BYTES + 1)
    (problem,) = load_file(str(tmp_path / "mesh.yaml")).problems
    assert "larger than 8 MiB" in problem.message


# -- aliases and merges -------------------------------------------------------------------------------

NAMES = st.sampled_from(["a", "b", "c", "d"])
MAPS = st.dictionaries(NAMES, st.integers(0, 9), max_size=3)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(MAPS, st.lists(st.integers(0, 5), max_size=3)), min_size=1, max_size=6))
def test_merges_are_what_yaml_has_them_be(maps: list[tuple[dict[str, int], list[int]]]) -> None:
    """Any maps that merge any earlier ones, then aliased again. (PyYAML itself gets merges of merges wrong.)"""
    lines = []
    meant: dict[str, dict[str, int]] = {}
    for number, (own, merged) in enumerate(maps):
        sources = [f"*m{source}" for source in merged if source < number]
        meant[f"m{number}"] = {
            name: value
            for source in reversed(["", *sources])
            for name, value in (meant[source[1:]] if source else own).items()
        }
        lines.append(f"m{number}: &m{number}")
        lines += [f"  <<: [{', '.join(sources)}]"] if sources else []
        lines += [f"  {name}: {value}" for name, value in own.items()] or ([] if sources else ["  {}"])
    lines += [f"again{number}: *m{number}" for number in range(len(maps))]
    text = "\n".join(lines)
    loaded = load_text(text)
    assert loaded.problems == []
    assert loaded.raw == meant | {f"again{number}": meant[f"m{number}"] for number in range(len(maps))}


def test_a_merged_map_that_is_aliased_again_is_not_a_duplicate() -> None:
    text = """
base: &base {timeout: 5s, max_retries: 1}
one: &one
  <<: *base
  timeout: 9s
two:
  <<: [*one]
  max_retries: 3
three: *one
"""
    loaded = load_text(text)
    assert loaded.problems == []
    assert loaded.raw["two"] == {"timeout": "9s", "max_retries": 3}
    assert loaded.raw["three"] == {"timeout": "9s", "max_retries": 1}


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("a: &a {<<: *a, b: 1}\n", "contains itself"),
        ("a: {<<: text}\n", "merges a map"),
        ("a: &a [1]\nb:\n  <<: *a\n", "merges a map"),
    ],
)
def test_merges_that_are_none(text: str, word: str) -> None:
    assert word in str(load_text(text).problems[0])


def test_a_bomb_of_merges_ends_soon() -> None:
    bomb = "a0: &a0 {x: 1}\n" + "".join(
        f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}], k{n}: 1}}\n" for n in range(1, 30)
    )
    began = time.monotonic()
    load_text(bomb)
    assert time.monotonic() - began < 10


# -- what only looks right ----------------------------------------------------------------------------


def told(text: str, format: str = "yaml", **environ: str) -> str:
    try:
        config = MeshConfig.from_text(text, format, file="mesh", environ=environ)
    except ConfigurationError as error:
        return str(error)
    return "\n".join(str(problem) for problem in config.validate())


@pytest.mark.parametrize(
    ("text", "format", "words"),
    [
        ("daemon:\n\tlog_level: debug\n", "yaml", "mesh:2: is not valid YAML: a tab at the beginning"),
        ("daemon:\n  watch: true\n \tlog_level: debug\n", "yaml", "mesh:3: is not valid YAML: a tab"),
        ("daemon:\n  log_level: “debug”\n", "yaml", "mesh:2: daemon.log_level: is in typographic quotes"),
        ("“daemon”:\n  log_level: debug\n", "yaml", "mesh:1: “daemon”: the name has a typographic quote"),
        ("daemon:\n  log_level:\u00a0debug\n", "yaml", "has a non-breaking space"),
        ("daemon:\n\u00a0\u00a0log_level: debug\n", "yaml", "non-breaking space"),
        ("daemon:\n  log_level: debug\u00a0\n", "yaml", "non-breaking space"),
        ("daemon:\n  watch: true\n  log_level：debug\n", "yaml", "full-width colon"),
        ("daemon:\n  socket: a: b\n", "yaml", "mesh:2: is not valid YAML: a colon in the wrong place"),
        ("daemon:\n  socket: @run\n", "yaml", "put the value in quotes"),
        ("[daemon]\nlog_level = “debug”\n", "toml", "line 2 has a typographic quote"),
        ("{“daemon”: {}}", "json", "line 1 has a typographic quote"),
        ('{"daemon":\u00a0{}}', "json", "line 1 has a non-breaking space"),
        ('{"daemon": {"watch": true},}', "json", "a comma before }: remove it"),
        ('{"daemon": {}, // no\n}', "json", "JSON has no comments"),
        ('{\n# no\n"daemon": {}}', "json", "mesh:2: is not valid JSON: JSON has no comments"),
        ('{"a":' * 5000 + "1" + "}" * 5000, "json", "mesh:1: is nested too deeply"),
        ("daemon: {}\n---\npools: {}\n", "yaml", "mesh:2: is not valid YAML: a second document begins here"),
        ("daemon: *none\n", "yaml", "an alias (`*name`) with no anchor"),
        ("daemon:\n  log_\u200blevel: debug\n", "yaml", "a zero-width space (U+200B): remove it"),
        ("daemon: !include other.yaml\n", "yaml", "tag !include is not accepted"),
        ("providers:\n  openai:\n    api_key: !secret KEY\n", "yaml", "write ${secrets:KEY}"),
    ],
)
def test_what_only_looks_right_is_reported(text: str, format: str, words: str) -> None:
    assert words in told(text, format)


@pytest.mark.parametrize("value", ["'“quoted”'", "say “hi”", "'a\u00a0b'", "a\u00a0b"])
def test_typography_in_a_text_is_the_text(value: str) -> None:
    assert load_text(f"a:\n  b: {value}\n").problems == []


# -- values that YAML takes for something else --------------------------------------------------------


@pytest.mark.parametrize("word", ["no", "on", "off", "yes", "1.10", "08", "010", "1e3", "0x10", "12:30:45", "2024-08-06", "1_000", ".5"])  # noqa: E501  # fmt: skip
def test_a_text_is_as_written(word: str) -> None:
    text = f"""
providers: {{p: {{connector: openai-compatible.v1, base_url: 'http://localhost:1/v1'}}}}
models:
  p.m:
    provider: p
    model: {word}
    capabilities: [chat-completion]
    constraints: {{supported_languages: [de, {word}]}}
pools:
  chat: {{models: [p.m]}}
"""
    config = MeshConfig.from_text(text, environ={})
    assert config.validate() == []
    assert config.models["p.m"].model == word
    assert config.models["p.m"].constraints.supported_languages == ("de", word)


@pytest.mark.parametrize(("word", "number"), [("08", 8), ("010", 10), ("1e3", 1000), ("1_000", 1000), ("7", 7)])
def test_a_number_is_decimal(word: str, number: int) -> None:
    config = MeshConfig.from_text(f"daemon:\n  max_inflight: {word}\n", environ={})
    assert config.validate() == []
    assert config.daemon.max_inflight == number


@pytest.mark.parametrize("word", ["0660", "660", "'0660'", "0o660"])
def test_permissions_are_octal(word: str) -> None:
    assert MeshConfig.from_text(f"daemon:\n  socket_mode: {word}\n", environ={}).daemon.socket_mode == 0o660


def test_a_value_under_config_is_as_written_too() -> None:
    text = "models: {}\npools:\n  chat:\n    config:\n      capability: no\n"
    assert "unknown capability 'no'" in told(text)


# -- references ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "environ", "meant"),
    [
        ("${env:A:-${env:B:-c}}", {}, "c"),
        ("${env:A:-${env:B:-c}}", {"B": "b"}, "b"),
        ("${env:A:-${env:B:-c}}", {"A": "a", "B": "b"}, "a"),
        ("x${env:A:-y${env:B}z}", {"B": "b"}, "xybz"),
        ("${env:A:-${secrets:S}}", {}, "${secrets:S}"),
        ("${env:A:-${secrets:S}}", {"A": "a"}, "a"),
        ("${env:A:-{}}", {}, "{}"),
    ],
)
def test_references_inside_defaults(written: str, environ: dict[str, str], meant: str) -> None:
    config = MeshConfig({"daemon": {"socket": written}}, environ=environ)
    assert config.daemon.socket == meant
    assert list(config.secret_references()) == (["S"] if "secrets" in meant else [])
    if "secrets" in meant:
        assert config.with_secrets({"S": "v"}).daemon.socket == "v"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("$OPENAI_API_KEY", "did you mean ${secrets:OPENAI_API_KEY}?"),
        ("${OPENAI_API_KEY}", "did you mean ${secrets:OPENAI_API_KEY}?"),
        ("${OPENAI_API_KEY:-x}", "did you mean ${env:OPENAI_API_KEY:-…}?"),
        ("{{ OPENAI_API_KEY }}", "did you mean ${secrets:OPENAI_API_KEY}?"),
        ("%OPENAI_API_KEY%", "did you mean ${secrets:OPENAI_API_KEY}?"),
        ("${secrets:KEY", "is not closed"),
        ("${secrets:KEY:-none}", "takes no default"),
        ("${env:A:-${env:B}}", "the environment variable B is not set"),
        *(
            (written, "did you mean ${secrets:OPENAI_API_KEY}?")
            for written in (
                "os.environ/OPENAI_API_KEY",
                "process.env.OPENAI_API_KEY",
                "env:OPENAI_API_KEY",
                "$env:OPENAI_API_KEY",
                "$(OPENAI_API_KEY)",
                "$secrets:OPENAI_API_KEY",
                "{secrets:OPENAI_API_KEY}",
                "secrets:OPENAI_API_KEY",
                "${secrets.OPENAI_API_KEY}",
            )
        ),
        ("<your key>", "is a placeholder"),
        ("sk-...", "is a placeholder"),
        ("YOUR_API_KEY", "is a placeholder"),
    ],
)
def test_what_looks_like_a_reference_is_reported(value: str, words: str) -> None:
    text = json.dumps({"providers": {"openai": {"api_key": value}}})
    assert words in told(text)


@pytest.mark.parametrize(
    "key", ["my-key", "EMPTY", "xxxx", "changeme", "sk-abc...", "env", "secrets", "a:b", "${env:K}"]
)
def test_any_word_may_be_the_key_of_ones_own_server(key: str) -> None:
    assert not told(json.dumps({"providers": {"openai": {"api_key": key}}}), K="k")


WORDS = [
    *("EMPTY", "none", "null", "lm-studio", "ollama", "sk-no-key-required", "not-needed", "changeme", "sk-xxx"),
    *("<key>", "your_api_key", "YOUR_API_KEY", "your-api-key-here", "sk-...", "xxxx", "token-abc123", "dummy"),
]
OWN = {
    "any server": {"connector": "openai-compatible.v1", "base_url": "http://127.0.0.1:9/v1"},
    "vLLM": {"connector": "vllm.local.v1"},
    "LM Studio elsewhere": {"connector": "lmstudio.local.v1", "base_url": "https://10.0.0.5:1234/v1"},
    "a gateway": {"connector": "openai.llm.v1", "base_url": "https://gateway.corp/v1"},
}


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("server", OWN)
def test_a_server_of_ones_own_is_given_any_word_for_a_key(server: str, word: str) -> None:
    config = MeshConfig.from_dict({"providers": {"mine": {**OWN[server], "api_key": word}}}, environ={})
    assert config.validate() == []
    assert config.providers["mine"].api_key == word
    assert not list(remarks(config, {}))
    config = MeshConfig.from_dict({"providers": {"mine": {**OWN[server], "api_key": "${secrets:K}"}}}, environ={})
    assert config.validate() == []
    assert not list(remarks(config, {"K": word}))
    assert config.with_secrets({"K": word}).validate() == []


@pytest.mark.parametrize("word", [word for word in WORDS if word not in ("token-abc123", "dummy")])
def test_a_placeholder_that_a_vendor_will_refuse_is_remarked_upon(word: str) -> None:
    config = MeshConfig.from_dict({"providers": {"openai": {"api_key": word}}}, environ={})
    assert list(remarks(config, {})) == ["providers.openai.api_key is a placeholder, which openai will refuse"]
    config = MeshConfig.from_dict({"providers": {"openai": {}}}, environ={})
    assert list(remarks(config, {"OPENAI_API_KEY": f" {word}\n"})) == [
        "OPENAI_API_KEY is a placeholder, which openai will refuse"
    ]
    assert not list(remarks(config, {"OPENAI_API_KEY": "sk-proj-1x2y"}))


@pytest.mark.parametrize("key", ["${secrets:K}", "${secrets: K }", " ${secrets:K\t}"])
def test_blanks_in_a_reference_are_not_part_of_its_name(key: str) -> None:
    config = MeshConfig.from_dict({"providers": {"openai": {"api_key": key}}}, environ={})
    assert list(config.secret_references()) == ["K"]
    assert not config.validate()
    assert config.with_secrets({"K": "v"}).providers["openai"].api_key == "v"


def test_another_field_means_the_environment() -> None:
    assert "did you mean ${env:HOME}?" in told("daemon:\n  state_dir: $HOME\n")


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=200),
        st.text(alphabet="ab:{}[]-&*!|>#?%\"' \n\t=.,<~$\\0é“”\u00a0\ufeff\r", max_size=80).map(str.encode),
        st.text(alphabet="ab:{}[]-&*! \n\t<", max_size=60).map(lambda text: text.encode("utf-16")),
    ),
    st.sampled_from(["yaml", "toml", "json"]),
)
def test_any_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes, format: str) -> None:
    file = tmp_path_factory.getbasetemp() / f"any.{format}"
    file.write_bytes(content)
    try:
        config = MeshConfig.from_file(file, environ={})
    except ConfigurationError:
        return
    config.validate()
    config.secret_references()


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="${}:-envscrtAB ", max_size=60))
def test_any_reference_is_read_or_told(text: str) -> None:
    config = MeshConfig({"daemon": {"socket": text}}, environ={"A": "${secrets:B}"})
    config.validate()
    config.secret_references()
