"""The actors with their threads and mailboxes: what they answer, and what a crash leaves."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from meshd import messages
from meshd.actors.discovery import DiscoveryActor
from meshd.actors.health import HealthActor
from meshd.actors.prepare import Prepare
from meshd.actors.secret import SecretActor
from meshd.actors.state import StateActor
from meshd.actors.telemetry import TelemetryActor
from meshd.compilation.running_config import RunningConfig
from meshd.compilation.secret_sources import secret_sources
from meshd.config import MeshConfig
from meshd.core.events.records import Event, Outcome
from meshd.core.messaging.mailboxes import ActorUnavailable
from meshd.discovery.local_watch import LocalWatch
from meshd.routing.table.policies import RecoveryPolicy
from meshd.routing.table.specs import PoolSpec, ProviderSpec
from meshd.sdk.discovery import FoundServer
from meshd.sdk.provider import ModelListing, ProviderSettings
from meshd.state.keeper import StateKeeper
from meshd.telemetry.logs import LogBridge
from tests.support.routing.routing_builders import table

from .conftest import Neighbours, Start, crash

NOW = 1_760_000_000.0


def generation(
    raw: dict[str, Any] | None = None, providers: tuple[str, ...] = ("p",), pools: tuple[PoolSpec, ...] = ()
) -> RunningConfig:
    scripted = {"providers": {name: {"connector": "modelmesh.scripted.v1"} for name in providers}}
    config = MeshConfig.from_dict(raw or scripted)
    settings = {name: ProviderSettings(name, "c", api_key="the-known-secret") for name in providers}
    specs = [ProviderSpec(name, "modelmesh.scripted.v1") for name in providers]
    members = dict.fromkeys(id for pool in pools for id in pool.members)
    return RunningConfig(1, config, config, table(members, pools, providers=specs), settings)


def run(neighbours: Neighbours, name: str, made: Any) -> None:
    assert neighbours.directory.ask(name, Prepare(made), 5) == ()
    neighbours.directory.tell(name, messages.Commit(1))
    assert neighbours.directory.ask(name, messages.Beat(), 5) is True


# -- health --------------------------------------------------------------------------------------------


def test_health_probes_and_reports(neighbours: Neighbours, start: Start) -> None:
    clock = [100.0]
    make = lambda: HealthActor(neighbours.directory, now=lambda: clock[0])  # noqa: E731
    actor = start(make())
    run(neighbours, "health", generation())
    probe = neighbours.next("router", messages.Probe)
    neighbours.directory.tell("health", messages.Probed("p", probe.token, 0.2, "refused", "authentication"))
    report = neighbours.next("router", messages.HealthReport)
    assert (report.available, report.kind) == (False, "authentication")
    event = neighbours.next("telemetry", Event)
    assert event.type == "provider_health_changed"
    clock[0] += 2
    crash(neighbours, actor, make, start)
    again = neighbours.next("router", messages.Probe)
    neighbours.directory.tell("health", messages.Probed("p", again.token, 0.2))
    assert neighbours.next("router", messages.HealthReport).available
    assert neighbours.next("telemetry", Event).changed["available"]


def test_probe_now_is_answered_when_the_provider_has(neighbours: Neighbours, start: Start) -> None:
    answers: list[Any] = []
    start(HealthActor(neighbours.directory))
    run(neighbours, "health", generation())
    probe = neighbours.next("router", messages.Probe)
    reply = SimpleNamespace(set=answers.append, set_exception=lambda info: None)
    neighbours.directory.send("health", messages.ProbeNow("p"), reply)
    neighbours.directory.ask("health", messages.Beat(), 5)
    assert answers == []
    neighbours.directory.tell("health", messages.Probed("p", probe.token, 0.25))
    neighbours.directory.ask("health", messages.Beat(), 5)
    assert answers[0][0]["latency"] == 0.25
    assert neighbours.directory.ask("health", messages.ProbeNow("nobody"), 5) == []


def test_health_has_the_models_of_pools_probed_and_providers_asked_for_their_quota(
    neighbours: Neighbours, start: Start
) -> None:
    clock = [100.0]
    make = lambda: HealthActor(neighbours.directory, now=lambda: clock[0])  # noqa: E731
    actor = start(make())
    pool = PoolSpec("chat", "", ("p.a",), recovery=RecoveryPolicy(probe_on_start=True, probe_interval=0.01))
    raw = {"providers": {"p": {"connector": "modelmesh.scripted.v1", "quota": {"query_remaining": True}}}}
    run(neighbours, "health", generation(raw, pools=(pool,)))
    assert neighbours.next("router", messages.Probe).quota
    assert neighbours.next("router", messages.ProbeModels) == messages.ProbeModels("chat", 10.0, ("p.a",))
    clock[0] += 1
    resting = messages.ProbeModels("chat", 10.0, resting=True)
    neighbours.directory.tell("health", messages.Tick("pools"))
    assert neighbours.next("router", messages.ProbeModels) == resting
    crash(neighbours, actor, make, start)
    clock[0] += 1
    neighbours.directory.tell("health", messages.Tick("pools"))
    assert neighbours.next("router", messages.ProbeModels) == resting, "another life is no other start"


# -- discovery -----------------------------------------------------------------------------------------


def test_discovery_lists_scans_and_answers(neighbours: Neighbours, start: Start) -> None:
    here = [FoundServer("ollama", "ollama.local.v1", "http://127.0.0.1:11434/v1", (ModelListing(id="a"),))]
    watch = LocalWatch({}, rows=list, find=lambda rows, environ, **_: list(here))
    actor = start(DiscoveryActor(neighbours.directory, watch=watch, run=lambda work: work()))
    providers = {"p": {"connector": "modelmesh.scripted.v1"}}
    run(neighbours, "discovery", generation({"providers": providers, "discovery": {"local": {"enabled": True}}}))
    assert neighbours.next("router", messages.ListModels).provider == "p"
    found = neighbours.next("config", messages.CatalogueChanged)
    assert (found.provider, found.settings["connector"]) == ("ollama", "ollama.local.v1")
    answers: list[Any] = []
    reply = SimpleNamespace(set=answers.append, set_exception=lambda info: None)
    neighbours.directory.send("discovery", messages.DiscoverNow(), reply)
    neighbours.directory.tell("discovery", messages.ModelsListed("p", ({"id": "m"},)))
    assert neighbours.next("config", messages.CatalogueChanged).models == ({"id": "m"},)
    neighbours.directory.ask("discovery", messages.Beat(), 5)
    neighbours.directory.ask("discovery", messages.Beat(), 5)
    assert {row["provider"] for row in answers[0]} == {"p", "ollama"}
    crash(neighbours, actor, lambda: DiscoveryActor(neighbours.directory, watch=watch, run=lambda work: work()), start)
    here.clear()
    neighbours.directory.tell("discovery", messages.LocalScanned([]))
    neighbours.directory.tell("discovery", messages.LocalScanned([]))
    assert neighbours.next("config", messages.CatalogueChanged).models is None


# -- secret --------------------------------------------------------------------------------------------


SECRETS = secret_sources(MeshConfig.from_dict({}))


def test_a_rotated_secret_reloads(neighbours: Neighbours, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROTATING", "one")
    actor = start(SecretActor(neighbours.directory))
    resolved = neighbours.directory.ask("secret", messages.ResolveSecrets(("ROTATING", "ABSENT"), SECRETS), 5)
    assert resolved.values == {"ROTATING": "one"}
    assert "ABSENT" in resolved.missing
    run(neighbours, "secret", generation())
    crash_less = neighbours.directory.ask("secret", messages.ResolveSecrets(("ROTATING",)), 5)
    assert crash_less.values == {"ROTATING": "one"}
    monkeypatch.setenv("ROTATING", "two")
    neighbours.directory.tell("secret", messages.RefreshSecret(("ROTATING",), "p"))
    assert neighbours.next("config", messages.Reload).reason == "secret ROTATING rotated"
    crash_less = neighbours.directory.ask("secret", messages.ResolveSecrets(("ROTATING",)), 5)
    assert crash_less.values == {"ROTATING": "two"}
    run(neighbours, "secret", generation())
    event = neighbours.next("telemetry", Event)
    assert (event.type, event.ids) == ("secret_rotated", {"secret": "ROTATING", "provider": "p"})
    assert "two" not in repr(vars(actor))
    objections = neighbours.directory.ask(
        "secret", Prepare(generation({"secrets": {"store": "modelmesh.nothing.v1"}})), 5
    )
    assert len(objections) == 1


def test_a_fresh_look_takes_what_was_edited_and_says_so(
    neighbours: Neighbours, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(SecretActor(neighbours.directory))
    for value, fresh, expected in (("one", False, "one"), ("two", False, "one"), ("three", True, "three")):
        monkeypatch.setenv("EDITED", value)
        asked = messages.ResolveSecrets(("EDITED",), SECRETS, fresh=fresh)
        assert neighbours.directory.ask("secret", asked, 5).values == {"EDITED": expected}
        run(neighbours, "secret", generation())
    event = neighbours.next("telemetry", Event)
    assert (event.type, event.ids) == ("secret_rotated", {"secret": "EDITED"})
    neighbours.directory.ask("secret", messages.ResolveSecrets(("EDITED",), SECRETS, fresh=True), 5)
    run(neighbours, "secret", generation())
    assert neighbours.waiting("telemetry") == []


# -- state ---------------------------------------------------------------------------------------------


def test_state_keeps_lock_and_journal_over_a_crash(
    neighbours: Neighbours, start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = lambda: StateActor(neighbours.directory, state_dir=tmp_path / "s")  # noqa: E731
    actor = start(make())
    run(neighbours, "state", generation())
    path = neighbours.directory.ask("state", messages.OpenJournal(), 5)
    neighbours.directory.tell("state", messages.StateChanged("model", "m", {"n": 1}))
    neighbours.directory.ask("state", messages.Beat(), 5)
    with monkeypatch.context() as patched:
        patched.setattr(StateKeeper, "changed", broken)
        neighbours.directory.tell("state", messages.StateChanged("model", "x", {}))
        neighbours.next("supervisor", messages.ActorFailed)
    following = make()
    following.inherit(actor.legacy())
    neighbours.directory.tell("state", messages.StateChanged("model", "told meanwhile", {"n": 2}))
    start(following)
    restored = neighbours.directory.ask("state", messages.LoadState(), 5)
    assert restored.tables["model"] == {"m": {"n": 1}, "told meanwhile": {"n": 2}}
    neighbours.directory.ask("state", messages.ExportState(), 5)
    assert Path(path).exists()
    status = neighbours.directory.ask("state", messages.GetSyncStatus(), 5)
    assert status["ok"]
    assert status["spend_today"] == 0


def broken(*args: Any, **options: Any) -> None:
    raise RuntimeError("broken")


def test_a_second_daemon_is_an_objection(start: Start, tmp_path: Path) -> None:
    first, second = Neighbours("telemetry"), Neighbours("telemetry")
    start(StateActor(first.directory, state_dir=tmp_path / "s"))
    start(StateActor(second.directory, state_dir=tmp_path / "s"))
    run(first, "state", generation())
    objections = second.directory.ask("state", Prepare(generation()), 5)
    assert "in use by another mesh of this process" in objections[0]
    first.directory.tell("state", messages.Discard(2))
    assert first.directory.ask("state", messages.LoadState(), 5).tables is not None


def test_a_first_generation_refused_leaves_nothing_locked(start: Start, tmp_path: Path) -> None:
    first, second = Neighbours("telemetry"), Neighbours("telemetry")
    start(StateActor(first.directory, state_dir=tmp_path / "s"))
    start(StateActor(second.directory, state_dir=tmp_path / "s"))
    assert first.directory.ask("state", Prepare(generation()), 5) == ()
    first.directory.tell("state", messages.Discard(1))
    first.directory.ask("state", messages.Beat(), 5)
    assert second.directory.ask("state", Prepare(generation()), 5) == ()


def test_one_that_has_stopped_is_not_waited_for(neighbours: Neighbours, start: Start, tmp_path: Path) -> None:
    actor = start(TelemetryActor(neighbours.directory, state_dir=tmp_path, now=lambda: NOW))
    actor.actor_ref.stop(timeout=10)
    actor.thread.join(10)
    with pytest.raises(ActorUnavailable, match="no telemetry actor"):
        neighbours.directory.ask("telemetry", messages.Beat(), 600)


# -- telemetry -----------------------------------------------------------------------------------------


def outcome(**changed: Any) -> Outcome:
    fields: dict[str, Any] = {"request_id": "ab", "at": NOW, "operation": "chat.completions", "asked": "chat"}
    fields |= {"status": 200, "pool": "chat", "model": "p/m", "provider": "p", "app": "shell", "total_time": 0.5}
    return Outcome(**(fields | changed))


@pytest.fixture
def file_config(tmp_path: Path) -> dict[str, Any]:
    sink = {"connector": "modelmesh.file.v1", "path": str(tmp_path / "all.jsonl")}
    return {"observability": {"routing": sink, "logging": sink, "statistics": {"flush_interval": "1h"}}}


def test_telemetry_writes_counts_and_keeps_secrets_out(
    neighbours: Neighbours, start: Start, tmp_path: Path, file_config: dict[str, Any]
) -> None:
    make = lambda: TelemetryActor(neighbours.directory, state_dir=tmp_path, now=lambda: NOW)  # noqa: E731
    actor = start(make())
    heard: list[Event] = []
    neighbours.directory.tell("telemetry", messages.Subscribe(heard.append, frozenset({"b"})))
    neighbours.directory.tell("telemetry", messages.Subscribe(lambda event: 1 / 0))
    run(neighbours, "telemetry", generation(file_config))
    load = neighbours.envelope("state")
    assert load.message == messages.LoadTable("statistics")
    load.reply_to.set({})
    for type in ("a", "b"):
        neighbours.directory.tell("telemetry", Event(type, 1, reason="key the-known-secret refused"))
    neighbours.directory.tell("telemetry", messages.RequestsEnded([outcome()]))
    wrong = outcome(status=502, error="Bearer abcdefghijkl is wrong")
    neighbours.directory.tell("telemetry", messages.RequestsEnded([wrong]))
    neighbours.directory.ask("telemetry", messages.Beat(), 5)
    crash_test = actor
    crash(neighbours, crash_test, make, start)
    rows = neighbours.directory.ask("telemetry", messages.QueryStatistics("model"), 5)
    assert (rows[0]["name"], rows[0]["requests_total"], rows[0]["requests_failed"]) == ("p/m", 2, 1)
    assert [event.type for event in heard] == ["b"]
    recent = neighbours.directory.ask("telemetry", messages.RecentEvents(frozenset({"a"})), 5)
    assert [event.type for event in recent] == ["a"]
    assert "the-known-secret" not in recent[0].reason
    neighbours.directory.ask("telemetry", messages.FlushTelemetry(), 5)
    text = (tmp_path / "all.jsonl").read_text()
    assert text.count("\n") == 4
    assert "the-known-secret" not in text
    assert "abcdefghijkl" not in text
    assert '"request":"ab"' in text
    [saved, *_] = [each for each in neighbours.waiting("state") if isinstance(each, messages.StatisticsChanged)]
    assert "model\0p/m\0total" in saved.rows
    status = neighbours.directory.ask("telemetry", messages.TelemetryStatus(), 5)
    assert status[0]["written"] == 4
    refused = Prepare(generation({"observability": {"logging": "no.v1"}}))
    assert neighbours.directory.ask("telemetry", refused, 5)


def test_logging_of_the_daemon_arrives(
    neighbours: Neighbours,
    start: Start,
    tmp_path: Path,
    file_config: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    bridge = LogBridge().install()
    logger = logging.getLogger("meshd.test")
    try:
        logger.warning("too early for sk-abcdefghijklmnopqrstuvwx")
        assert "too early for •••" in capsys.readouterr().err
        start(TelemetryActor(neighbours.directory, state_dir=tmp_path))
        run(neighbours, "telemetry", generation(file_config))
        bridge.connect(lambda written: neighbours.directory.tell("telemetry", written))
        try:
            raise ValueError("why")
        except ValueError:
            logger.exception("it failed for %s", "sk-abcdefghijklmnopqrstuvwx")
        logger.debug("too detailed")
        logging.getLogger("somebody.else").info("chatter")
        neighbours.directory.ask("telemetry", messages.FlushTelemetry(), 5)
        bridge.disconnect()
        text = (tmp_path / "all.jsonl").read_text()
        assert "it failed for •••" in text
        assert "ValueError: why" in text
        assert text.count("\n") == 1
    finally:
        logging.captureWarnings(False)
        logging.getLogger().removeHandler(bridge)
