"""Which packages of others are checked: those whose connectors the configuration made the daemon read."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshd.compilation.before_start.posture import untrusted_packages
from meshd.connectors.registry import ConnectorRegistry
from tests.support.packages.installed import install

CODE = """
from meshd.sdk.connector import ConnectorSpec
CONNECTORS = (ConnectorSpec("posture.llm.v1", "provider", factory="posture_acme:Provider"),)
"""


def test_a_package_counts_once_its_connector_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "posture_acme", CODE)
    monkeypatch.syspath_prepend(str(tmp_path))
    module = tmp_path / "posture_acme.py"
    module.chmod(0o606)
    registry = ConnectorRegistry()
    assert registry.find("openai.llm.v1")
    assert not list(untrusted_packages(registry))
    assert registry.find("posture.llm.v1")
    (problem,) = untrusted_packages(registry)
    assert str(problem).endswith(f"run `chmod o-w {module}`")
