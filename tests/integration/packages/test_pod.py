"""The Kubernetes manifest, with the volumes that kubelet makes: the daemon starts, answers probes, and starts again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.network.certificates import certificate
from tests.support.packages import pod as pods
from tests.support.packages.pod import Container, Volumes

MANIFEST = Path(__file__).parents[3] / "systemd/container/kubernetes.yaml"
CLAIMS = {
    "a disk": (0o755, True),
    "a disk that everyone may write to": (0o777, True),
    "a folder of the node": (0o777, False),
}

pytestmark = pytest.mark.skipif(bool(pods.missing()), reason=pods.missing())


@pytest.fixture
def manifests() -> dict[str, Any]:
    return {each["kind"]: each for each in yaml.safe_load_all(MANIFEST.read_text())}


@pytest.fixture
def contents(manifests: dict[str, Any], tmp_path: Path) -> dict[str, dict[str, str]]:
    cert, key = certificate(tmp_path, "tls")
    return {
        "meshd": manifests["ConfigMap"]["data"],
        "meshd-keys": {"OPENAI_API_KEY": "sk-a-key"},
        "meshd-tls": {"tls.crt": cert.read_text(), "tls.key": key.read_text()},
    }


@pytest.mark.parametrize("claim", CLAIMS.values(), ids=[*CLAIMS])
def test_the_daemon_starts_and_starts_again(
    manifests: dict[str, Any], contents: dict[str, dict[str, str]], claim: tuple[int, bool], tmp_path: Path
) -> None:
    pod = manifests["Deployment"]["spec"]["template"]["spec"]
    (spec,) = pod["containers"]
    ports = {each["name"]: each["containerPort"] for each in spec["ports"]}
    for time in ("first", "second"):
        volumes = Volumes(tmp_path / "volumes", pod, contents, claim)
        for before in pod.get("initContainers", []):
            assert _started(tmp_path / time / before["name"], pod, before, volumes).process.wait(30) == 0
        container = _started(tmp_path / time / spec["name"], pod, spec, volumes)
        try:
            container.wait_for(spec["startupProbe"], ports)
            assert container.probe(spec["livenessProbe"], ports) == 200
            assert container.probe(spec["readinessProbe"], ports) == 200
            checked = container.run(*pods.health_check())
            assert checked.returncode == 0, checked.stderr
            assert '"openai"' in checked.stdout
        finally:
            status = container.end()
        assert status == 0, container.log.read_text()
        assert "others can" not in container.log.read_text()
    assert [*volumes.path("state").glob("meshd/*")], "its state is in the volume"


def _started(place: Path, pod: Any, spec: dict[str, Any], volumes: Volumes) -> Container:
    place.mkdir(parents=True)
    return Container(place, pod, spec, volumes)
