"""Connectors that other installed packages offer, good and bad."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from meshd.connectors.registry import ConnectorRegistry
from meshd.host.installing import command_for
from modelmesh import ConfigurationError
from tests.support.packages.installed import install, uninstall

GOOD = """
from meshd.sdk.connector import ConnectorSpec
from meshd.sdk.secrets import SecretMissing, SecretStore

class Store(SecretStore):
    def get(self, name):
        raise SecretMissing(name)

CONNECTORS = (
    ConnectorSpec(
        "{id}", "secret-store", "Of {module}", "{module}:Store", aliases=({aliases}), requires=({requires})
    ),
)
"""


def good(module: str, id: str = "acme.store.v1", aliases: str = "", requires: str = "") -> str:
    return GOOD.format(module=module, id=id, aliases=aliases, requires=requires)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


def test_a_package_is_imported_when_an_id_is_unknown_or_all_are_listed(place: Path) -> None:
    install(place, "acme_one", good("acme_one", aliases="'acme.old.v1',"))
    registry = ConnectorRegistry()
    assert registry.find("modelmesh.env.v1", "secret-store") is not None
    assert "acme_one" not in sys.modules
    found = registry.find("secret-store.acme.old.v1")
    assert found is not None
    assert (found.id, found.package, found.is_outside) == ("acme.store.v1", "acme_one", True)
    assert registry.get_connector("acme.store.v1").__name__ == "Store"
    assert found in registry.list_connectors("secret-store")
    assert found not in registry.list_connectors("secret-store", outside=False)
    assert registry.faults() == []
    assert registry.why_unusable(found) == ""


def test_what_is_installed_while_the_daemon_runs_is_found(place: Path) -> None:
    registry = ConnectorRegistry()
    assert registry.find("acme.store.v1") is None
    install(place, "acme_late", good("acme_late"))
    assert registry.find("acme.store.v1") is not None
    uninstall(place, "acme_late")
    assert "acme.store.v1" not in [spec.id for spec in registry.list_connectors()]
    with pytest.raises(ConfigurationError, match="unknown connector"):
        registry.get_connector("acme.store.v1")


SPEC = "from meshd.sdk.connector import ConnectorSpec\nCONNECTORS = "
BAD = {
    "raise RuntimeError('no\\nluck')": "acme_bad:CONNECTORS cannot be read: RuntimeError: no luck",
    "raise SystemExit(3)": "cannot be read: SystemExit: 3",
    "import acme_does_not_exist": "cannot be read: ModuleNotFoundError",
    "CONNECTOR = ()": "cannot be read: AttributeError",
    "CONNECTORS = 7": "cannot be read: TypeError",
    "CONNECTORS = ({'id': 'acme.x.v1'},)": "expected a meshd.sdk.connector.ConnectorSpec, got dict",
    SPEC + "ConnectorSpec('acme.x.v1', 'blender', '', 'a:b')": "its type 'blender' is not one of provider, rotation",
    SPEC + "ConnectorSpec('Acme X', 'storage', '', 'a:b')": "its id must have parts of lower-case letters",
    SPEC + "ConnectorSpec('acme.x.v1', 'storage')": "its factory is '', not module:attribute",
    SPEC + "ConnectorSpec('acme.x.v1', 'storage', '', 'a:b', aliases='x')": "its aliases must be a tuple",
    SPEC + "ConnectorSpec('acme.x.v1', 'storage', '', 'a:b', settings='nothing:X')": "settings 'nothing:X' cannot be",
    SPEC + "ConnectorSpec('acme.x.v1', 'storage', '', 'a:b', settings='builtins:int')": "must name a pydantic model",
}


@pytest.mark.parametrize("code", BAD)
def test_a_broken_package_is_named_and_nothing_else_is_lost(place: Path, code: str) -> None:
    install(place, "acme_bad", code)
    install(place, "acme_good", good("acme_good"))
    registry = ConnectorRegistry()
    assert registry.find("acme.store.v1") is not None
    (fault,) = registry.faults()
    assert (fault.package, fault.advice) == ("acme_bad", "update or uninstall acme_bad")
    assert BAD[code] in fault.message
    with pytest.raises(ConfigurationError, match=r"unknown storage connector 'acme\.x\.v1'") as raised:
        registry.get_connector("acme.x.v1", "storage")
    if "Acme X" not in code:
        assert raised.value.message.endswith("; update or uninstall acme_bad)")


@pytest.mark.parametrize(("id", "aliases"), [("modelmesh.env.v1", ""), ("acme.other.v1", "'modelmesh.dotenv.v1',")])
def test_a_built_in_connector_cannot_be_replaced(place: Path, id: str, aliases: str) -> None:
    install(place, "acme_greedy", good("acme_greedy", id, aliases))
    registry = ConnectorRegistry()
    (fault,) = registry.faults()
    offered = f"the package acme_greedy offers the secret-store {id}, but meshd itself already has "
    assert fault.message.startswith(offered)
    assert registry.get_connector("modelmesh.env.v1").__module__ == "meshd.connectors.secrets.env"
    assert registry.get_connector("modelmesh.dotenv.v1").__module__ == "meshd.connectors.secrets.dotenv"
    assert registry.find("acme.other.v1") is None


def test_of_two_packages_with_one_id_the_first_by_name_has_it(place: Path) -> None:
    install(place, "acme_zeta", good("acme_zeta"))
    install(place, "acme_alpha", good("acme_alpha"))
    registry = ConnectorRegistry()
    assert registry.get_connector("acme.store.v1").__module__ == "acme_alpha"
    (fault,) = registry.faults()
    assert str(fault) == (
        "the package acme_zeta offers the secret-store acme.store.v1, but the package acme_alpha already has "
        "acme.store.v1; uninstall acme_zeta or have it renamed"
    )


@pytest.mark.parametrize(
    ("factory", "why"),
    [
        ("acme_class:Missing", "cannot be loaded: AttributeError"),
        ("acme_nowhere:Store", "cannot be loaded: ModuleNotFoundError"),
        ("builtins:dict", "is not a subclass of meshd.sdk.secrets.SecretStore"),
        ("builtins:len", "is not a subclass of meshd.sdk.secrets.SecretStore"),
        ("meshd.sdk.secrets:SecretStore", "does not define get"),
    ],
)
def test_a_class_that_cannot_be_used_says_why(place: Path, factory: str, why: str) -> None:
    install(place, "acme_class", SPEC + f"(ConnectorSpec('acme.class.v1', 'secret-store', 'x', {factory!r}),)")
    registry = ConnectorRegistry()
    spec = registry.find("acme.class.v1")
    assert spec is not None
    assert why in registry.why_unusable(spec)
    with pytest.raises(ConfigurationError, match=r"acme\.class\.v1 of the package acme_class"):
        registry.get_connector("acme.class.v1")


def test_what_it_lacks_is_installed_as_an_extra_of_its_own_package(place: Path) -> None:
    code = SPEC + (
        "(ConnectorSpec('acme.cloud.v1', 'storage', 'x', 'acme_cloud:X', requires=('no_such_package',), extra='s3'),)"
    )
    install(place, "acme_cloud", code)
    registry = ConnectorRegistry()
    said = re.escape(f"needs the package no_such_package: {command_for('acme_cloud[s3]')}")
    with pytest.raises(ConfigurationError, match=said):
        registry.get_connector("acme.cloud.v1")
