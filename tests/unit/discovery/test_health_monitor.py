"""The health monitor's schedule and judgement, without threads or clocks."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from meshd.core.events.answering import ProviderAnswering
from meshd.discovery.health_monitor import HealthMonitor
from meshd.discovery.settings import HealthSettings
from meshd.messages import HealthReport, Probe, Probed, ProviderFailed

WALL = 1_760_000_000.0


class Bench:
    """A monitor, its time, and the probes it sent."""

    def __init__(self, *providers: str, **settings: Any) -> None:
        self.now = 0.0
        self.monitor = HealthMonitor(chance=lambda: 0.5)
        self.monitor.configure(HealthSettings(**settings), providers or ("p",), self.now)
        self.sent: list[tuple[float, Probe]] = []

    def run(self, until: float, error: str = "", kind: str = "connection") -> list[HealthReport]:
        """Let time pass; every probe is answered at once, with this."""
        reports = []
        while True:
            for probe in self.monitor.due(self.now):
                self.sent.append((self.now, probe))
                answer = Probed(probe.provider, probe.token, 0.01, error, kind if error else "")
                report = self.monitor.probed(answer, self.now, WALL)
                if report is not None:
                    reports.append(report)
            after = self.monitor.next_due(self.now)
            if after is None or self.now + after > until:
                self.now = until
                return reports
            self.now += after

    def times(self) -> list[float]:
        return [round(at, 2) for at, _ in self.sent]


def test_a_healthy_provider_is_probed_once_an_interval() -> None:
    bench = Bench(interval=60)
    reports = bench.run(200)
    assert bench.times() == [0, 60, 120, 180]
    assert all(report.available and report.score == 1.0 for report in reports)


def test_an_outage_is_established_within_seconds_and_its_end_noticed_soon() -> None:
    bench = Bench(interval=60, failure_threshold=3)
    reports = bench.run(600, "refused")
    assert [report.available for report in reports[:4]] == [True, True, False, False]
    assert bench.times()[2] < 10
    gaps = [later - earlier for earlier, later in pairwise(bench.times())]
    assert all(later > earlier - 0.1 for earlier, later in pairwise(gaps))
    assert gaps[0] < 3
    assert gaps[-1] == pytest.approx(60, rel=0.11)
    assert reports[-1].score < 0.05
    assert all(report.probed and not report.answered for report in reports)
    back = bench.run(700)
    assert back[0].available
    assert back[0].answered
    assert back[0].score > 0.2


def test_a_refused_key_is_not_an_outage_to_wait_three_strikes_for() -> None:
    bench = Bench()
    assert not bench.run(0, "wrong key", "authentication")[0].available


@pytest.mark.parametrize("kind", ["rate_limit", "model_not_found", "invalid_request", "content_policy"])
def test_what_answers_is_there(kind: str) -> None:
    bench = Bench()
    assert all(report.available for report in bench.run(300, "no", kind))


def test_a_connector_that_cannot_be_probed_is_left_alone() -> None:
    bench = Bench()
    assert bench.run(1000, "cannot", "unsupported") == []
    assert bench.times() == [0]
    assert bench.monitor.next_due(bench.now) is None


def test_failed_requests_bring_one_probe_forward_and_no_storm() -> None:
    bench = Bench(interval=60)
    bench.run(10)
    reports = [bench.monitor.failed(ProviderFailed("p", "server", "500"), bench.now, WALL) for _ in range(500)]
    assert reports[0] is not None
    assert reports[0].score == pytest.approx(0.7)
    assert reports[-1] is not None
    assert reports[-1].available
    assert not reports[-1].probed
    assert not reports[-1].answered
    bench.run(12)
    assert len(bench.sent) == 2
    for _ in range(100):
        bench.monitor.failed(ProviderFailed("p", "server", "500"), bench.now, WALL)
        bench.run(bench.now + 0.1)
    gaps = [later - earlier for earlier, later in pairwise(bench.times())]
    assert min(gaps) >= 1.0


def test_one_probe_in_flight_and_a_lost_one_is_given_up() -> None:
    monitor = HealthMonitor(chance=lambda: 0.5)
    monitor.configure(HealthSettings(timeout=10), ["p"], 0)
    first = monitor.due(0)
    assert monitor.due(5) == []
    monitor.failed(ProviderFailed("p", "server", ""), 5, WALL)
    assert monitor.due(8) == []
    second = monitor.due(16)
    assert len(second) == 1
    assert monitor.probed(Probed("p", first[0].token, 0.1, "late"), 17, WALL) is None
    assert monitor.probed(Probed("p", second[0].token, 0.1), 17, WALL) is not None


def test_only_the_providers_named_are_scheduled() -> None:
    bench = Bench("a", "b", providers=("b",))
    bench.run(100)
    assert {probe.provider for _, probe in bench.sent} == {"b"}
    disabled = Bench(enabled=False)
    disabled.run(100)
    assert disabled.sent == []


def test_probe_now_answers_when_all_have() -> None:
    monitor = HealthMonitor(chance=lambda: 0.5)
    monitor.configure(HealthSettings(enabled=False), ["a", "b"], 0)
    answers: list[list[dict[str, Any]]] = []
    monitor.probe_now(None, 100, answers.append)
    probes = {probe.provider: probe for probe in monitor.due(100)}
    monitor.probed(Probed("a", probes["a"].token, 0.25), 100, WALL)
    assert answers == []
    monitor.probed(Probed("b", probes["b"].token, 0.5, "down", "connection"), 101, WALL)
    found = [(row["provider"], row["latency"], row["error"]) for row in answers[0]]
    assert found == [("a", 0.25, ""), ("b", 0.5, "down")]
    assert monitor.due(1000) == []
    monitor.probe_now("nobody", 0, answers.append)
    assert answers[1] == []


def test_probe_now_is_answered_even_if_the_provider_never_answers() -> None:
    monitor = HealthMonitor(chance=lambda: 0.5)
    monitor.configure(HealthSettings(timeout=10), ["a", "b"], 0)
    answers: list[list[dict[str, Any]]] = []
    monitor.probe_now(None, 0, answers.append)
    probes = {probe.provider: probe for probe in monitor.due(0)}
    monitor.configure(HealthSettings(timeout=10), ["b"], 1)
    assert answers == []
    monitor.due(16)
    assert [row["provider"] for row in answers[0]] == ["b"]
    monitor.probe_now("b", 20, answers.append)
    monitor.give_up_waiting()
    assert len(answers) == 2
    assert probes


def test_a_reload_keeps_what_is_known() -> None:
    bench = Bench(interval=60, failure_threshold=1)
    bench.run(1, "refused")
    bench.monitor.configure(HealthSettings(interval=60), ["p", "q"], bench.now)
    sent = len(bench.sent)
    bench.run(bench.now)
    assert [probe.provider for _, probe in bench.sent[sent:]] == ["q"]


def test_providers_that_are_to_be_asked_for_their_quota_are_with_each_probe() -> None:
    bench = Bench("p", "q", interval=60, quotas=frozenset({"q"}))
    bench.run(70)
    assert [(probe.provider, probe.quota) for _, probe in bench.sent] == [("p", False), ("q", True)] * 2


# -- lists of models that are refused ------------------------------------------------------------------------

REFUSALS = ["authentication", "permission", "unsupported", "server"]


def refused(bench: Bench, kind: str, requests: ProviderAnswering, times: int = 6) -> list[HealthReport]:
    reports = []
    for _ in range(times):
        for probe in bench.monitor.due(bench.now):
            answer = Probed(probe.provider, probe.token, 0.01, "refused", kind, refused=True, requests=requests)
            report = bench.monitor.probed(answer, bench.now, WALL)
            if report is not None:
                reports.append(report)
        bench.now += bench.monitor.next_due(bench.now) or 0.0
    return reports


@pytest.mark.parametrize("kind", REFUSALS)
@pytest.mark.parametrize("requests", [ProviderAnswering.SERVES, ProviderAnswering.UNKNOWN])
def test_a_refused_list_takes_nothing_out_that_answers_requests_or_was_never_asked(
    kind: str, requests: ProviderAnswering
) -> None:
    reports = refused(Bench(), kind, requests)
    assert len(reports) == 6
    assert all(report.available and report.refused for report in reports)
    unsure = kind == "unsupported" and not requests  # a wrong base_url is not shown as good
    assert (reports[-1].score < 1.0) == unsure
    assert not any(report.answered for report in reports), "it brings back nothing either"


@pytest.mark.parametrize(
    ("kind", "requests"),
    [("authentication", ProviderAnswering.KEY_REFUSED), ("unsupported", ProviderAnswering.NOTHING)],
)
def test_a_refusal_that_requests_meet_as_well_counts(kind: str, requests: ProviderAnswering) -> None:
    last = refused(Bench(), kind, requests)[-1]
    assert not last.available
    assert last.score < 0.2
    assert last.error == "refused"


def test_a_method_of_ones_own() -> None:
    bench = Bench("p", "q", method="auto", methods={"q": "completion"})
    bench.run(1)
    assert [(probe.provider, probe.method) for _, probe in bench.sent] == [("p", "auto"), ("q", "completion")]


def test_a_provider_that_is_watched_no_longer_is_freed() -> None:
    bench = Bench("p", "q", failure_threshold=1)
    bench.run(1, "down")
    bench.monitor.configure(HealthSettings(providers=("q",)), ["p", "q"], bench.now)
    assert bench.monitor.failed(ProviderFailed("p", "server", "500"), bench.now, WALL) is None
    told: list[dict[str, Any]] = []
    bench.monitor.probe_now(None, bench.now, told.extend)
    bench.monitor.give_up_waiting()
    known = {row["provider"]: row for row in told}
    assert (known["p"]["available"], known["p"]["score"]) == (True, 1.0)
    assert not known["q"]["available"]


def test_a_probe_that_this_machine_could_not_send_says_nothing() -> None:
    monitor = HealthMonitor(chance=lambda: 0.5)
    monitor.configure(HealthSettings(), ["a"], 0)
    answers: list[Any] = []
    for n in range(10):
        now = n * 5.0
        monitor.probe_now("a", now, answers.append)
        (probe,) = monitor.due(now)
        assert monitor.probed(Probed("a", probe.token, 0.1, "no descriptor left", "local"), now, WALL) is None
        assert monitor.next_due(now) == 5.0
        assert (answers[-1][0]["available"], answers[-1][0]["score"]) == (True, 1.0)
