"""Storages under a real daemon with requests in flight: every fault, and a kill of the daemon. No request fails, and
nothing is lost. Redis is in test_daemons.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from meshd.cli.show.status import troubles
from tests.support.daemons.stored import PRICE, Load, config, remote, spent, started
from tests.support.storages.faulty import FAULTS, Faulty
from tests.support.storages.servers import Once, Postgresql
from tests.support.waiting import until

_COPIED = 60.0  # s: values are copied every 30


@pytest.mark.soak
@pytest.mark.timeout(120)
def test_a_postgresql_that_hangs_dies_and_refuses_to_write(daemons: list[Any], short: Path) -> None:
    server = Postgresql()
    storage = {**server.settings(), "connector": "postgresql.postgresql.v1", "timeout": "1s"}
    daemon = started(daemons, short / "first", config(100_000, **storage))
    until(lambda: remote(daemon)["copied_at"])

    def read_only(value: str) -> None:
        import psycopg

        with psycopg.connect(server.url, autocommit=True) as client:
            client.execute("SET default_transaction_read_only = off")
            client.execute(f"ALTER ROLE mesh SET default_transaction_read_only = {value}")
            client.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'meshd'")

    with Load(daemon, pause=0.01) as load:
        for begin, end in (
            (server.hang, server.resume),
            (server.kill, server.start),
            (lambda: read_only("on"), lambda: read_only("off")),
        ):
            begin()
            until(lambda: remote(daemon)["error"])
            load.more()
            end()
            until(lambda: not remote(daemon)["error"])
            load.more()
    assert load.errors == []
    assert daemon.stop() == 0
    second = started(daemons, short / "second", config(100_000, **storage))
    assert spent(second) == pytest.approx(load.answered * PRICE)
    assert second.stop() == 0
    server.close()


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", ["aws.s3.v1", "google.drive.v1"])
def test_every_fault(kind: str, daemons: list[Any], short: Path) -> None:
    once = Once()
    faulty = Faulty(kind, once, short)
    storage = {**faulty.settings, "connector": kind, "timeout": "1s", "locking": {"timeout": "30s"}}
    first = started(daemons, short / "first", config(100_000, **storage))
    until(lambda: remote(first)["copied_at"])
    with Load(first, pause=0.02) as load:
        for fault in FAULTS:
            faulty.service.fault = fault
            until(lambda: remote(first)["error"], what=fault)
            assert any(line.startswith("storage: ") for line, _ in troubles(first.status()))
            load.more()
            if fault == "hangs":
                first_error, answered = remote(first)["error"], load.answered
                assert first.ask("POST", "/mesh/v1/reload")["ok"], first_error
                load.more()
                assert load.answered > answered
            faulty.service.fault = ""
            until(lambda: not remote(first)["error"], what=f"{fault} is over")
            load.more()
        before = faulty.asked()
        faulty.service.fault = "slow"
        until(lambda: faulty.asked() > before + 5, _COPIED)
        load.more()
        faulty.service.fault = ""
    assert load.errors == []
    until(lambda: not remote(first)["error"] and not remote(first)["pending"], _COPIED)
    ended = remote(first)["copied_at"]
    until(lambda: remote(first)["copied_at"] > ended, _COPIED)
    first.kill()
    second = started(daemons, short / "second", config(100_000, **storage))
    assert spent(second) == pytest.approx(load.answered * PRICE)
    faulty.service.fault = "hangs"
    second.kill()
    second.start()
    assert spent(second) == pytest.approx(load.answered * PRICE)
    with Load(second) as load:
        load.more()
    assert load.errors == []
    faulty.close()
    once.close()
