"""When the models of a pool are probed: all at the start, and those on standby at an interval."""

from __future__ import annotations

from typing import Any

from meshd.discovery.pool_probes import PoolProbes
from meshd.messages import ProbeModels
from meshd.routing.table.policies import RecoveryPolicy
from meshd.routing.table.specs import PoolSpec


def pool(*members: str, name: str = "chat", **recovery: Any) -> PoolSpec:
    return PoolSpec(name, "", members, recovery=RecoveryPolicy(**recovery))


def configured(*pools: PoolSpec, now: float = 0.0) -> PoolProbes:
    probes = PoolProbes()
    probes.configure(pools, 5.0, now)
    return probes


def resting(name: str = "chat") -> ProbeModels:
    return ProbeModels(name, 5.0, resting=True)


def test_a_pool_that_wants_no_probes_has_none() -> None:
    probes = configured(pool("a"))
    assert probes.due(10**9) == []
    assert probes.next_due(0) is None
    assert PoolProbes().next_due(0) is None


def test_a_start_probes_all_members_once() -> None:
    probes = configured(pool("a", "b", probe_on_start=True))
    assert probes.next_due(7) == 0.0
    assert probes.due(7) == [ProbeModels("chat", 5.0, ("a", "b"))]
    assert probes.due(8) == []
    assert probes.next_due(8) is None


def test_a_reload_is_a_start_for_the_members_it_brings() -> None:
    probes = configured(pool("a", probe_on_start=True), pool("z", name="other"))
    probes.due(0)
    probes.configure([pool("a", "b", probe_on_start=True), pool("z", name="other", probe_on_start=True)], 5.0, 1)
    assert probes.due(1) == [ProbeModels("chat", 5.0, ("b",)), ProbeModels("other", 5.0, ("z",))]


def test_a_reload_before_the_start_probes_forgets_no_model() -> None:
    probes = configured(pool("a", probe_on_start=True))
    probes.configure([pool("a", "b", probe_on_start=True)], 5.0, 0)
    assert probes.due(0) == [ProbeModels("chat", 5.0, ("a", "b"))]


def test_those_that_rest_are_probed_at_the_interval() -> None:
    probes = configured(pool("a", probe_interval=30.0))
    assert probes.due(29) == []
    assert probes.next_due(29) == 1.0
    assert probes.due(30) == [resting()]
    assert probes.due(31) == []
    assert probes.next_due(31) == 29.0
    assert configured(pool("a", probe_interval=0.001)).next_due(0) == 0.001
    hasty = configured(pool("a", probe_interval=0.001))
    hasty.due(1)
    assert hasty.next_due(1) == 1.0, "no more often than once a second"


def test_a_reload_puts_no_round_off_and_may_bring_one_forward() -> None:
    probes = configured(pool("a", probe_interval=30.0))
    for now in (10, 20, 29):
        probes.configure([pool("a", probe_interval=30.0)], 5.0, now)
    assert probes.next_due(29) == 1.0
    probes.configure([pool("a", probe_interval=600.0)], 5.0, 29)
    assert probes.next_due(29) == 1.0
    probes.configure([pool("a")], 5.0, 29)
    assert probes.next_due(29) is None
    probes.configure([pool("a", probe_interval=10.0)], 5.0, 29)
    assert probes.next_due(29) == 10.0


def test_a_pool_may_have_both() -> None:
    probes = configured(pool("a", probe_on_start=True, probe_interval=30.0))
    assert probes.due(40) == [ProbeModels("chat", 5.0, ("a",)), resting()]
