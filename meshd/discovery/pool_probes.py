"""When to probe a pool's models: all at the start, and those on standby at an interval.

Owns: the schedule of `recovery.probe_on_start` and `recovery.probe_interval`.
Must never: know which models are on standby, or what a probe may cost; the router does. Like `HealthMonitor` it does no
I/O and reads no clock: it says what is due.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from meshd.discovery.settings import HealthSettings
from meshd.messages import ProbeModels
from meshd.routing.table.specs import PoolSpec

LEAST_APART = 1.0  # s between two rounds of one pool
_NEVER = float("inf")


@dataclass(slots=True)
class _Pool:
    """due: when models on standby are probed next; never without an interval. new: members to probe as at a
    start."""

    interval: float
    due: float
    new: tuple[str, ...] = ()


class PoolProbes:
    """now: from a monotonic clock."""

    def __init__(self) -> None:
        self._timeout = HealthSettings().timeout
        self._pools: dict[str, _Pool] = {}
        self._met: dict[str, frozenset[str]] = {}  # pool → its members at the last start or reload

    def configure(self, pools: Iterable[PoolSpec], timeout: float, now: float) -> None:
        """Use these pools. For new members, a reload counts as a start."""
        before, self._pools, self._timeout = self._pools, {}, timeout
        met, self._met = self._met, {}
        for spec in pools:
            interval = spec.recovery.probe_interval
            pool = _Pool(_NEVER, _NEVER) if interval is None else _Pool(max(interval, LEAST_APART), now + interval)
            kept = before.get(spec.name)
            if kept is not None and interval is not None:
                pool.due = min(pool.due, kept.due)
            if spec.recovery.probe_on_start:
                self._met[spec.name] = frozenset(spec.members)
                known = met.get(spec.name, frozenset()) - frozenset(kept.new if kept is not None else ())
                pool.new = tuple(id for id in spec.members if id not in known)
            self._pools[spec.name] = pool

    def due(self, now: float) -> list[ProbeModels]:
        """Rounds to send now."""
        rounds = []
        for name, pool in self._pools.items():
            if pool.new:
                rounds.append(ProbeModels(name, self._timeout, pool.new))
                pool.new = ()
            if pool.due <= now:
                rounds.append(ProbeModels(name, self._timeout, resting=True))
                pool.due = now + pool.interval
        return rounds

    def next_due(self, now: float) -> float | None:
        """Seconds until `due` should be called again; None: not before something happens."""
        soonest = min((now if pool.new else pool.due for pool in self._pools.values()), default=_NEVER)
        return None if soonest == _NEVER else max(soonest - now, 0.0)
