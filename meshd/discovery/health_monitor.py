"""`modelmesh.health-monitor.v1`: when to probe which provider, and how available it is.

Owns: the schedule and the availability scores.
Must never: do I/O or read a clock. It says which probes are due, and is given their results.

A failed provider is probed soon, then at gaps that grow from a second to the interval. So the beginning and the end of
an outage are noticed within seconds, and a long outage costs next to nothing.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from meshd.core.events.answering import ProviderAnswering
from meshd.discovery.settings import LEAST_APART, HealthSettings, concerns
from meshd.messages import HealthReport, Probe, Probed, ProviderFailed
from meshd.sdk.calls.failure import FailureKind

SMOOTHING = 0.3  # weight of the newest outcome in the score
SOON = 5.0  # s until a probe that this machine could not send is repeated
GRACE = 5.0  # s beyond the timeout after which a probe counts as lost: the router was restarted

ANSWERED = frozenset(
    {
        FailureKind.RATE_LIMIT,
        FailureKind.QUOTA,
        FailureKind.MODEL_NOT_FOUND,
        FailureKind.INVALID_REQUEST,
        FailureKind.CONTEXT_LENGTH,
        FailureKind.CONTENT_POLICY,
    }
)
"""Failures of a probe that prove that the server is running."""
UNABLE = FailureKind.UNSUPPORTED
"""Means that the connector cannot be probed or, for a list of models, that the server has none at this path."""
OUR_OWN = FailureKind.LOCAL
"""Means that this machine could not send the probe; that says nothing about the provider."""


def _confirmed(message: Probed) -> bool:
    """Whether requests fail in the same way as the model list. A refused list alone says nothing: some keys may not
    read it, and many servers have none."""
    refused = message.kind == FailureKind.AUTHENTICATION
    return message.requests is (ProviderAnswering.KEY_REFUSED if refused else ProviderAnswering.NOTHING)


@dataclass(slots=True)
class _Watched:
    due: float
    score: float = 1.0
    available: bool = True
    failures: int = 0  # probes in a row
    probing: int = 0  # token of the probe in flight
    began: float = float("-inf")
    latency: float = 0.0
    error: str = ""
    kind: str = ""
    elsewhere: bool = False  # there is no API at its address
    probed_at: float = 0.0
    waiting: list[_Round] = field(default_factory=list)


class _Round:
    """A caller that waits for these providers to answer."""

    def __init__(self, names: Iterable[str], done: Callable[[list[dict[str, Any]]], None]) -> None:
        self.names = list(names)
        self.left = set(self.names)
        self.done = done


class HealthMonitor:
    """now: from a monotonic clock. wall: UTC seconds, only passed on."""

    def __init__(self, *, chance: Callable[[], float] = random.random) -> None:
        self.settings = HealthSettings()
        self._chance = chance
        self._watched: dict[str, _Watched] = {}
        self._token = 0

    def configure(self, settings: HealthSettings, providers: Iterable[str], now: float) -> None:
        """Watch these providers. What is known about those already watched is kept; new ones are probed at once."""
        self.settings = settings
        before, self._watched = self._watched, {}
        for name in providers:
            kept = before.pop(name, None)
            if kept is not None and not concerns(self.settings, name) and not kept.waiting:
                kept = None  # its earlier results no longer apply
            self._watched[name] = kept or _Watched(now)
            if kept is not None and kept.due != float("inf"):
                kept.due = min(kept.due, now + settings.interval)
        for name, gone in before.items():
            self._answer(name, gone)

    # -- the schedule ---------------------------------------------------------------------------------

    def due(self, now: float) -> list[Probe]:
        """Probes to send now."""
        probes = []
        for name, watched in self._watched.items():
            if watched.probing and now - watched.began > self.settings.timeout + GRACE:
                # The probe was lost, which says nothing about the provider.
                watched.probing = 0
                watched.due = now
                self._answer(name, watched)
            if watched.probing or watched.due > now or not (concerns(self.settings, name) or watched.waiting):
                continue
            self._token += 1
            watched.probing = self._token
            watched.began = now
            settings = self.settings
            probes.append(
                Probe(
                    name,
                    settings.methods.get(name, settings.method),
                    settings.timeout,
                    self._token,
                    name in settings.quotas,
                )
            )
        return probes

    def next_due(self, now: float) -> float | None:
        """Seconds until `due` should be called again; None: not before something happens."""
        times = []
        for name, watched in self._watched.items():
            if watched.probing:
                times.append(watched.began + self.settings.timeout + GRACE)
            elif watched.due != float("inf") and (concerns(self.settings, name) or watched.waiting):
                times.append(watched.due)
        return max(0.0, min(times) - now) if times else None

    # -- events ---------------------------------------------------------------------------------------

    def probed(self, message: Probed, now: float, wall: float) -> HealthReport | None:
        """A probe was answered."""
        watched = self._watched.get(message.provider)
        if watched is None or watched.probing != message.token:
            return None
        watched.probing = 0
        watched.probed_at = wall
        watched.latency, watched.error, watched.kind = message.latency, message.error, message.kind
        watched.elsewhere = message.elsewhere
        if message.kind == UNABLE and not message.refused:
            watched.due = float("inf")
            self._answer(message.provider, watched)
            return None
        if message.kind == OUR_OWN:
            watched.due = max(now, watched.began + self._spread(min(self.settings.interval, SOON)))
            self._answer(message.provider, watched)
            return None
        ok = not message.error or message.kind in ANSWERED
        there = message.refused and not _confirmed(message)
        if not message.refused or message.requests is not ProviderAnswering.UNKNOWN or message.kind == UNABLE:
            self._score(watched, ok or (there and message.requests is ProviderAnswering.SERVES))
        if ok or there:
            watched.failures = 0
            watched.available = True
            watched.due = watched.began + self._spread(self.settings.interval)
        else:
            watched.failures += 1
            # The first failure is followed up at once: three failures must not take three intervals.
            pace = min(self.settings.interval, LEAST_APART * 2.0 ** min(watched.failures - 1, 20))
            watched.due = max(now, watched.began + max(LEAST_APART, self._spread(pace)))
            if watched.failures >= self.settings.failure_threshold or message.kind == FailureKind.AUTHENTICATION:
                watched.available = False
        self._answer(message.provider, watched)
        report = self._report(message.provider, watched, wall)
        return msgspec.structs.replace(report, probed=True, answered=ok, refused=message.refused)

    def failed(self, message: ProviderFailed, now: float, wall: float) -> HealthReport | None:
        """A request failed: the score falls, and a probe will tell why."""
        watched = self._watched.get(message.provider)
        if watched is None or not concerns(self.settings, message.provider):
            return None  # no probe would ever show that the failure is over
        self._score(watched, False)
        if watched.due != float("inf") and not watched.probing:
            # However many requests fail, one probe follows, at a time that differs between providers and daemons.
            soon = max(now, watched.began + LEAST_APART) + self._chance() * LEAST_APART
            watched.due = min(watched.due, soon)
        return self._report(message.provider, watched, wall, f"{message.kind}: {message.message}", message.kind)

    def probe_now(self, provider: str | None, now: float, done: Callable[[list[dict[str, Any]]], None]) -> None:
        """Probe one or all, even without a schedule; `done` gets a map for each."""
        names = [name for name in self._watched if provider in (None, name)]
        waiting = _Round(names, done)
        if not names:
            done([])
        for name in names:
            watched = self._watched[name]
            watched.waiting.append(waiting)
            watched.due = min(watched.due, max(now, watched.began + LEAST_APART))

    def give_up_waiting(self) -> None:
        """Answer waiting callers with what is known, as the daemon ends."""
        for name, watched in self._watched.items():
            self._answer(name, watched)

    # -- inside ---------------------------------------------------------------------------------------

    def _score(self, watched: _Watched, ok: bool) -> None:
        watched.score += SMOOTHING * ((1.0 if ok else 0.0) - watched.score)

    def _spread(self, seconds: float) -> float:
        return seconds * (0.9 + 0.2 * self._chance())

    def _report(
        self, name: str, watched: _Watched, wall: float, error: str | None = None, kind: str | None = None
    ) -> HealthReport:
        return HealthReport(
            name,
            watched.available,
            round(watched.score, 4),
            watched.latency,
            watched.error if error is None else error,
            wall,
            watched.kind if kind is None else kind,
        )

    def _answer(self, name: str, watched: _Watched) -> None:
        waiting, watched.waiting = watched.waiting, []
        for each in waiting:
            each.left.discard(name)
            if not each.left:
                each.done([self._row(other) for other in each.names if other in self._watched])

    def _row(self, name: str) -> dict[str, Any]:
        watched = self._watched[name]
        return {
            "provider": name,
            "available": watched.available,
            "score": round(watched.score, 4),
            "latency": watched.latency,
            "error": watched.error,
            "kind": watched.kind,
            "elsewhere": watched.elsewhere,
            "at": watched.probed_at,
        }
