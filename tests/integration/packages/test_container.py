"""The files for containers: what they configure is valid, and what linters are here find nothing."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from meshd.config.mesh_config import MeshConfig

FOLDER = Path(__file__).parents[3] / "systemd/container"
NUMBER = "65532"


def manifests() -> dict[str, Any]:
    text = (FOLDER / "kubernetes.yaml").read_text()
    return {each["kind"]: each for each in yaml.safe_load_all(text)}


def compose() -> Any:
    return yaml.safe_load((FOLDER / "compose.yaml").read_text())


def configurations() -> list[str]:
    held = compose()["configs"]["mesh"]["content"].replace("$$", "$")  # `$$` is compose's way to write a `$`
    return [manifests()["ConfigMap"]["data"]["mesh.yaml"], held]


@pytest.mark.parametrize("text", configurations(), ids=["kubernetes", "compose"])
def test_the_configuration_is_valid(text: str) -> None:
    assert MeshConfig.from_text(text, environ={}).validate() == []


def test_it_runs_without_rights() -> None:
    lines = (FOLDER / "Containerfile").read_text().splitlines()
    assert [line for line in lines if line.startswith("USER ")] == [f"USER {NUMBER}:{NUMBER}"]
    assert any(line.startswith("HEALTHCHECK ") for line in lines)
    pod = manifests()["Deployment"]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert str(pod["securityContext"]["runAsUser"]) == NUMBER
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
    service = compose()["services"]["meshd"]
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])


def test_no_key_is_in_an_environment() -> None:
    for text in ((FOLDER / name).read_text() for name in ("Containerfile", "compose.yaml", "kubernetes.yaml")):
        assert not [line for line in text.splitlines() if "_API_KEY=" in line and not line.startswith("#")]
    (container,) = manifests()["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert "env" not in container


@pytest.mark.skipif(shutil.which("hadolint") is None, reason="hadolint is not installed")
def test_hadolint_finds_nothing() -> None:
    done = subprocess.run(["hadolint", str(FOLDER / "Containerfile")], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_manifest_fits_the_schema_of_kubernetes() -> None:
    kubernetes = pytest.importorskip("kubernetes_validate")
    for manifest in manifests().values():
        kubernetes.validate(manifest, kubernetes.latest_version(), strict=True)
