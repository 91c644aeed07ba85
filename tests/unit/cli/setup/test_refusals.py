"""What validation accepts, the daemon runs.

Of one configuration, `meshctl config validate`, `meshd --check`, a start and a reload say the same.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemons.daemon import Daemon
from tests.support.network.certificates import certificate
from tests.support.packages.installed import install
from tests.support.processes import meshctl

STUBBORN = """
from meshd.sdk.connector import ConnectorSpec
from meshd.sdk.discovery import Discovery
from meshd.sdk.hooks import Hook
from meshd.sdk.secrets import SecretStore
from meshd.sdk.strategy import Strategy

class Refusing:
    def __init__(self, settings):
        raise RuntimeError("not today")

class Refuser(Refusing, Hook): ...

class Fussy(Hook):
    def __init__(self, settings):
        if settings.get("word") != "please":
            raise ValueError("the word is wrong")
        super().__init__(settings)

class Order(Refusing, Strategy):
    def order(self, request, candidates, now, random): ...

class Seeker(Refusing, Discovery):
    def look(self): ...

class Vault(Refusing, SecretStore):
    def get(self, name): ...

def spec(name, type, factory):
    return ConnectorSpec(f"stubborn.{name}.v1", type, "Refuses", f"stubborn:{factory}")

CONNECTORS = (
    spec("hook", "hook", "Refuser"),
    spec("fussy", "hook", "Fussy"),
    spec("order", "rotation", "Order"),
    spec("seeker", "discovery", "Seeker"),
    spec("vault", "secret-store", "Vault"),
)
"""
MODELS = {
    "providers": {"plain": {"connector": "modelmesh.scripted.v1", "script": [{"reply": "plain"}]}},
    "models": {"plain.chat": {"provider": "plain", "capabilities": ["chat-completion"]}},
    "discovery": {"local": {"enabled": False}},
}
CURVE = ["tcp://127.0.0.1:7411"]
KEY = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"  # of the pair in the specification of Z85
OTHER = "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID"


def tls(**files: str) -> dict[str, Any]:
    return {"proxy": {"enabled": True, "port": "auto", "tls": files}}


def curve(*listen: str, **given: Any) -> dict[str, Any]:
    clients = [{"app": "far", "key": OTHER}]
    return {"daemon": {"listen": listen or CURVE, "curve": {"allowed_clients": clients, **given}}, "apps": {"far": {}}}


def secret(value: str) -> dict[str, Any]:
    return {"secrets": {"store": "modelmesh.memory-secrets.v1", "values": {"GIVEN": value}}}


def pool(**given: str) -> dict[str, Any]:
    return {"pools": {"chat": {"models": ["plain.chat"], **given}}}


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no certificate": (tls(cert="{at}/none"), "proxy.tls.cert: there is no file {at}/none"),
    "a directory": (tls(cert="{at}"), "proxy.tls.cert: {at} is a directory"),
    "an empty certificate": (tls(cert="{at}/empty"), "proxy.tls.cert: {at}/empty is empty"),
    "a pipe": (tls(cert="{at}/pipe"), "proxy.tls.cert: {at}/pipe is not a file"),
    "junk": (tls(cert="{at}/junk"), "proxy.tls.cert: {at}/junk holds no certificates in PEM form"),
    "a certificate alone": (tls(cert="{at}/a.pem"), "proxy.tls.cert: {at}/a.pem holds no private key in PEM form"),
    "no key": (tls(cert="{at}/a.pem", key="{at}/none"), "proxy.tls.key: there is no file {at}/none"),
    "a key of junk": (tls(cert="{at}/a.pem", key="{at}/junk"), "proxy.tls.key: {at}/junk holds no private key"),
    "another's key": (tls(cert="{at}/a.pem", key="{at}/b.key"), "proxy.tls.key: {at}/b.key belongs to another"),
    "a passphrase": (
        tls(cert="{at}/a.pem", key="{at}/locked.key"),
        "proxy.tls.key: {at}/locked.key needs a passphrase",
    ),
    "no curve key": (curve(secret_key_file="{at}/none"), "daemon.curve.secret_key_file: there is no file"),
    "a short curve key": (curve(secret_key_file="{at}/junk"), "daemon.curve.secret_key_file: "),
    "a short secret": (curve(secret_key="${secrets:GIVEN}") | secret("short"), "daemon.curve.secret_key: "),
    "another's public key": (
        curve(secret_key="${secrets:GIVEN}", public_key=OTHER) | secret(KEY),
        "daemon.curve.public_key: belongs to another secret key",
    ),
    "a hook": ({"hooks": [{"connector": "stubborn.hook.v1"}]}, "hooks[0]: connector stubborn.hook.v1 of the package"),
    "a hook's key": ({"hooks": [{"connector": "stubborn.fussy.v1"}]}, "hooks[0]: the word is wrong"),
    "a hook's secret": (
        {"hooks": [{"connector": "stubborn.fussy.v1", "word": "${secrets:GIVEN}"}]} | secret("thanks"),
        "hooks[0]: the word is wrong",
    ),
    "a strategy": (pool(strategy="stubborn.order.v1"), "pools.chat.strategy: connector stubborn.order.v1"),
    "a fallback": (
        pool(strategy="priority-selection", fallback_strategy="stubborn.order.v1"),
        "pools.chat.fallback_strategy: connector stubborn.order.v1",
    ),
    "a discovery": (
        {"discovery": {"local": {"enabled": False}, "connector": "stubborn.seeker.v1"}},
        "discovery.connector: connector stubborn.seeker.v1",
    ),
    "a secret store": ({"secrets": {"store": "stubborn.vault.v1"}}, "secrets.store: stubborn.vault.v1"),
    "a sink of traces": (
        {"observability": {"tracing": {"connector": "modelmesh.null.v1"}}},
        "observability.tracing.connector: modelmesh.null.v1 takes no traces",
    ),
    "no Presidio": (
        {"observability": {"logging": {"presidio_model": "en_core_web_sm"}}},
        "observability.logging.presidio_model: needs Presidio",
    ),
}
ACCEPTED: dict[str, dict[str, Any]] = {
    "a certificate and its key": tls(cert="{at}/a.pem", key="{at}/a.key"),
    "both in a file": tls(cert="{at}/both.pem"),
    "a hook's secret": {"hooks": [{"connector": "stubborn.fussy.v1", "word": "${secrets:GIVEN}"}]} | secret("please"),
    "a curve key that no address needs": curve("ipc://{at}/further.sock", secret_key_file="{at}/none"),
}


@pytest.fixture(scope="module")
def place(module_short: Path) -> Path:
    """With every file that a configuration here names."""
    place = module_short / "files"
    place.mkdir()
    for name in ("a", "b"):
        certificate(place, name)
    (place / "both.pem").write_text((place / "a.pem").read_text() + (place / "a.key").read_text())
    locking = ("openssl", "rsa", "-aes256", "-passout", "pass:x", "-in", "a.key", "-out", "locked.key")
    subprocess.run(locking, cwd=place, check=True, capture_output=True)
    (place / "junk").write_text("junk")
    (place / "junk").chmod(0o600)
    (place / "empty").write_text("")
    os.mkfifo(place / "pipe")
    tree = place / "tree"
    tree.mkdir()
    install(tree, "stubborn", STUBBORN)
    with zipfile.ZipFile(place / "stubborn.whl", "w") as archive:
        for each in tree.rglob("*"):
            archive.write(each, each.relative_to(tree))
    return place


@pytest.fixture(scope="module")
def running(module_meshd: Callable[..., Daemon], place: Path) -> Daemon:
    return module_meshd(configured({}, place))


def configured(change: dict[str, Any], place: Path) -> dict[str, Any]:
    """A whole configuration, with the connectors of the package."""
    package = place / "stubborn.whl"
    sha256 = hashlib.sha256(package.read_bytes()).hexdigest()
    change = {"daemon": {}, **at(change, place)}
    change["daemon"]["watch"] = False
    return {**MODELS, "connectors": {"packages": [{"path": str(package), "sha256": sha256}]}, **change}


def at(value: Any, place: Path) -> Any:
    if isinstance(value, dict):
        return {key: at(each, place) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [at(each, place) for each in value]
    return value.replace("{at}", str(place)) if isinstance(value, str) else value


def validated(daemon: Daemon) -> subprocess.CompletedProcess[str]:
    directory = str(daemon.directory)
    places = {"HOME": directory, "XDG_DATA_HOME": f"{directory}/data", "STATE_DIRECTORY": str(daemon.state)}
    return meshctl.run("config", "validate", str(daemon.config), **places)


def ended(daemon: Daemon, *arguments: str) -> tuple[int, str]:
    """What meshd says until it ends."""
    daemon.arguments = arguments
    daemon.log_path.unlink(missing_ok=True)
    daemon.spawn()
    return daemon.wait(), daemon.log()


@pytest.mark.parametrize(("change", "said"), REFUSED.values(), ids=REFUSED)
def test_what_a_daemon_refuses_is_refused_before(
    change: dict[str, Any], said: str, place: Path, meshd: Callable[..., Daemon], running: Daemon
) -> None:
    bad = configured(change, place)
    daemon = meshd(bad, start=False)

    done = validated(daemon)
    assert done.returncode == 1, done
    (line,) = done.stdout.splitlines()
    where, sentence = re.fullmatch(rf"({re.escape(str(daemon.config))}:\d+): (.*)", line).groups()
    assert sentence.startswith(said.replace("{at}", str(place)))

    code, log = ended(daemon, "--check")
    assert (code, f"{where}: {sentence}" in log) == (78, True), log
    code, log = ended(daemon)
    assert (code, sentence in log) == (78, True), log
    running.write(bad)
    report = running.ask("POST", "/mesh/v1/reload")
    assert not report["ok"]
    assert any(sentence in problem["message"] for problem in report["problems"]), report


@pytest.mark.parametrize("change", ACCEPTED.values(), ids=ACCEPTED)
def test_what_is_not_refused_runs(
    change: dict[str, Any], place: Path, meshd: Callable[..., Daemon], running: Daemon
) -> None:
    good = configured(change, place)
    daemon = meshd(good, start=False)
    done = validated(daemon)
    assert done.returncode == 0, done
    code, log = ended(daemon, "--check")
    assert code == 0, log
    daemon.arguments = ()
    daemon.start()
    running.write(good)
    report = running.ask("POST", "/mesh/v1/reload")
    assert report["ok"], report


def test_reloads_go_on_after_tls_was_switched_off(place: Path, running: Daemon) -> None:
    for number, change in enumerate((tls(cert="{at}/both.pem"), {}, {})):
        running.write(configured({**change, "batches": {"max_open": number + 1}}, place))
        report = running.ask("POST", "/mesh/v1/reload")
        assert report["ok"], report
