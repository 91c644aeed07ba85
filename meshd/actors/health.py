"""The health actor: asks the router to probe, and reports each provider's availability to it.

Owns: the `HealthMonitor`, the `PoolProbes` and their timers. Must never: open a connection; the router owns those.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, ClassVar

from meshd import messages
from meshd.actors.base.actor import MeshActor
from meshd.actors.base.replies import Asked, DeferringMailbox
from meshd.actors.prepare import Prepare
from meshd.core.events.event_type import EventType
from meshd.core.events.records import Event
from meshd.core.messaging.mailboxes import Directory
from meshd.core.seconds import to_nanos
from meshd.discovery.health_monitor import HealthMonitor
from meshd.discovery.pool_probes import PoolProbes
from meshd.discovery.settings import HealthSettings

_PROBE, _POOLS = "probe", "pools"


class HealthActor(MeshActor):
    name: ClassVar[str] = "health"
    handlers: ClassVar[dict[type, str]] = {
        Prepare: "prepare",
        messages.Commit: "commit",
        messages.Discard: "discard",
        messages.Probed: "probed",
        messages.ProviderFailed: "provider_failed",
        messages.Tick: "ticked",
        Asked: "probe_now",
    }

    @staticmethod
    def _create_actor_inbox() -> Any:
        return DeferringMailbox(messages.ProbeNow)

    def __init__(
        self,
        directory: Directory,
        *,
        now: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(directory)
        self._now = now
        self._wall = wall
        self._prepared: Any = None
        self._monitor = HealthMonitor()
        self._pools = PoolProbes()
        self._told: dict[str, bool] = {}

    def legacy(self) -> Any:
        return self._monitor, self._pools, self._told, self._prepared

    def inherit(self, legacy: Any) -> None:
        if legacy is not None:
            self._monitor, self._pools, self._told, self._prepared = legacy

    def on_start(self) -> None:
        self._go_on()

    def on_stop(self) -> None:
        self._monitor.give_up_waiting()

    # -- configuration --------------------------------------------------------------------------------

    def prepare(self, message: Prepare) -> tuple[str, ...]:
        self._prepared = message.running
        return ()

    def commit(self, message: messages.Commit) -> None:
        generation, self._prepared = self._prepared, None
        if generation is not None:
            config, now = generation.config, self._now()
            quotas = frozenset(
                name
                for name, provider in config.providers.items()
                if provider.quota.query_current or provider.quota.query_remaining
            )
            methods = {name: each.health.method for name, each in config.providers.items() if each.health.method}
            settings = HealthSettings.of(config.discovery.health, quotas, methods)
            left_out = {spec.name for spec in generation.table.providers.values() if spec.disabled}
            asked = [name for name in generation.providers if name not in left_out]
            self._monitor.configure(settings, asked, now)
            self._pools.configure(generation.table.pools.values(), settings.timeout, now)
            self._told = {name: told for name, told in self._told.items() if name in generation.providers}
            self._go_on()

    def discard(self, message: messages.Discard) -> None:
        self._prepared = None

    # -- events -----------------------------------------------------------------------------------------

    def probed(self, message: messages.Probed) -> None:
        self._tell(self._monitor.probed(message, self._now(), self._wall()))
        self._go_on()

    def provider_failed(self, message: messages.ProviderFailed) -> None:
        self._tell(self._monitor.failed(message, self._now(), self._wall()))
        self._go_on()

    def ticked(self, message: messages.Tick) -> None:
        self._go_on()

    def probe_now(self, asked: Asked) -> None:
        """Answered when every probed provider has answered or timed out."""
        assert isinstance(asked.message, messages.ProbeNow)
        self._monitor.probe_now(asked.message.provider, self._now(), asked.answer)
        self._go_on()

    # -- inside -----------------------------------------------------------------------------------------

    def _go_on(self) -> None:
        """Send the probes that are due, and wake up when the next one is."""
        now = self._now()
        for probe in self._monitor.due(now):
            self.tell("router", probe)
        self.next_tick(_PROBE, self._monitor.next_due(now))
        for members in self._pools.due(now):
            self.tell("router", members)
        self.next_tick(_POOLS, self._pools.next_due(now))

    def _tell(self, report: messages.HealthReport | None) -> None:
        if report is None:
            return
        self.tell("router", report)
        before = self._told.get(report.provider, True)
        self._told[report.provider] = report.available
        if before != report.available:
            event = Event(
                EventType.PROVIDER_HEALTH_CHANGED,
                to_nanos(self._wall()),
                "debug",  # the router reports once what this means for requests
                {"provider": report.provider},
                report.error,
                {"available": report.available, "score": report.score, "latency": report.latency},
            )
            self.tell("telemetry", event)
