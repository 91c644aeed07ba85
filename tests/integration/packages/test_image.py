"""The container image, built of the Debian package and a minimal Debian, and a daemon in it. It takes minutes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.packages import machine

FILE = Path(__file__).parents[3] / "systemd/container/Containerfile"

pytestmark = [
    pytest.mark.soak,
    pytest.mark.timeout(900),
    pytest.mark.skipif(bool(machine.missing()), reason=machine.missing()),
    pytest.mark.skipif(shutil.which("buildah") is None, reason="buildah is not installed"),
    pytest.mark.skipif("MESHD_DEB" not in os.environ, reason="MESHD_DEB names no package (make deb)"),
]

TRY = """
id --user
meshd --socket /run/meshd/mesh.sock 2>/dev/null &
daemon=$!
for each in 1 2 3 4 5 6 7 8 9 10; do meshctl status --json >/dev/null 2>&1 && break; sleep 1; done
meshctl chat hello
kill $daemon
wait $daemon
echo ended with $?
"""


class Builder:
    """buildah with a store of its own, which trusts what is made here."""

    def __init__(self, place: Path) -> None:
        self._place = place
        (place / "policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')

    def __call__(self, command: str, *words: str) -> str:
        own = ["--storage-driver=vfs", f"--root={self._place / 'store'}", f"--runroot={self._place / 'run'}"]
        done = subprocess.run(
            ["buildah", *own, command, *words],
            cwd=self._place,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def from_image(self, image: str) -> str:
        return self("from", f"--signature-policy={self._place / 'policy.json'}", "--pull-never", image)


@pytest.fixture
def buildah(tmp_path: Path) -> Iterator[Builder]:
    found = Builder(tmp_path)
    yield found
    found("rm", "--all")
    found("rmi", "--all", "--force")
    shutil.rmtree(tmp_path / "store", ignore_errors=True)


def test_a_daemon_in_the_image(buildah: Builder, tmp_path: Path) -> None:
    machine.make_base()
    policy = f"--signature-policy={tmp_path / 'policy.json'}"
    tree = tmp_path / "base.tar"
    subprocess.run(["tar", "-C", str(machine.BASE), "--exclude=./dev", "-cf", str(tree), "."], check=True)
    empty = buildah("from", policy, "scratch")
    buildah("add", empty, str(tree), "/")
    buildah("commit", policy, "--quiet", empty, "localhost/debian")
    tree.unlink()
    context = tmp_path / "context"
    context.mkdir()
    shutil.copy(os.environ["MESHD_DEB"], context)
    # The base has systemd, so that nothing else has to make the user; nothing is fetched.
    given = ["--build-arg=BASE=localhost/debian", "--build-arg=SYSUSERS="]
    where = [f"--file={FILE}", "--tag=localhost/meshd", str(context)]
    buildah("build", policy, "--isolation=chroot", "--format=docker", *given, *where)

    held = json.loads(buildah("inspect", "--type=image", "localhost/meshd"))["Docker"]["config"]
    assert (held["User"], held["Healthcheck"]["Test"][1]) == ("65532:65532", "/usr/bin/meshctl")
    config = tmp_path / "mesh.yaml"
    providers = {"scripted": {"connector": "modelmesh.scripted.v1"}}
    models = {"scripted.one": {"provider": "scripted", "capabilities": ["chat-completion"]}}
    config.write_text(json.dumps({"providers": providers, "models": models}))
    config.chmod(0o644)
    container = buildah.from_image("localhost/meshd")
    mount = f"--volume={config}:/etc/meshd/mesh.yaml:ro"
    said = buildah("run", "--isolation=chroot", mount, container, "--", "sh", "-c", TRY).splitlines()
    assert (said[0], said[-1]) == ("65532", "ended with 0")
    assert any("hello" in line for line in said)
