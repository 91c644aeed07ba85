"""Redis and PostgreSQL over TLS, with passwords and certificates: what is wrong is said, and a password is replaced
without a failed request."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from meshd.connectors.storage.open import open_storage
from meshd.sdk.storage import StorageError
from tests.support.daemons.stored import Load, config, remote
from tests.support.network.certificates import Authority
from tests.support.storages.guarded import GuardedPostgresql, GuardedRedis
from tests.support.waiting import until

OLD, NEW, WRONG = "the-old-password-0", "the-new-password-1", "a-wrong-password-2"
KINDS = {GuardedRedis: "redis.redis.v1", GuardedPostgresql: "postgresql.postgresql.v1"}
Guarded = GuardedRedis | GuardedPostgresql


@pytest.fixture(scope="module")
def authority(module_short: Path) -> Authority:
    return Authority(module_short)


@pytest.fixture(scope="module", params=KINDS)
def server(request: pytest.FixtureRequest, authority: Authority) -> Iterator[Guarded]:
    running = request.param(authority)
    yield running
    running.close()


@pytest.fixture
def said(server: Guarded, tmp_path: Path) -> Callable[..., str]:
    """What is said of other settings; "" if they work."""
    server.allow(OLD)

    def tried(**settings: Any) -> str:
        given = {name: value for name, value in {**server.guarded(OLD), **settings}.items() if value is not None}
        storage = open_storage(KINDS[type(server)], given, tmp_path)
        try:
            storage.save("k", b"v")
            assert storage.load("k") == b"v"
            return ""
        except StorageError as error:
            return str(error)
        finally:
            storage.close()

    return tried


def test_the_right_password_and_certificates(said: Callable[..., str]) -> None:
    assert said() == ""


def test_what_is_wrong_is_said_without_the_password(said: Callable[..., str], server: Guarded, tmp_path: Path) -> None:
    refused = (
        "refuses the user or the password" if isinstance(server, GuardedRedis) else "password authentication failed"
    )
    assert refused in said(password=WRONG)
    assert WRONG not in said(password=WRONG)
    stranger = str(Authority(tmp_path).certificate)
    assert "certificate verify failed" in said(ca_file=stranger).lower()
    assert "certificate" in said(cert_file=None, key_file=None)
    assert "certificate" in said(url=server.guarded(OLD)["url"].replace("localhost", "127.0.0.1")).lower()


def test_a_password_is_replaced_under_load(meshd: Any, server: Guarded, short: Path) -> None:
    server.allow(OLD)
    passwords = short / "passwords.env"

    def write(password: str) -> None:
        passwords.write_text(f"STORAGE={password}\n")
        passwords.chmod(0o600)

    write(OLD)
    storage = server.guarded("${secrets:STORAGE}", connector=KINDS[type(server)], timeout="2s")
    secrets = {"store": "modelmesh.dotenv.v1", "path": str(passwords), "cache_ttl": "100ms"}
    daemon = meshd({**config(10_000, **storage), "secrets": secrets})
    with Load(daemon) as load:
        load.more()
        until(lambda: remote(daemon)["copied_at"])
        server.allow(NEW)
        server.disconnect()
        until(lambda: "password" in remote(daemon)["error"])
        load.more()
        write(NEW)
        until(lambda: remote(daemon)["copied_at"] and not remote(daemon)["error"])
        load.more()
    assert load.errors == []
    assert not {each for each in (OLD, NEW) if each in daemon.log() + str(daemon.status())}
