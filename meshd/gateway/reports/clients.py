"""Requests and spend of each process that is or was connected. If the kernel names no process, the app stands in for
it.

Owns: the counts of the processes seen most recently.
Must never: be used for a decision; limits are in `meshd/routing/budgets/accounts.py`.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from meshd.core.caller import Caller
from meshd.core.events.records import Outcome

_REMEMBERED = 4096


@dataclass(slots=True)
class Use:
    """started: when the process started, as the kernel counts it. cost: 10⁻⁹ USD."""

    started: int
    requests: int = 0
    failed: int = 0
    cost: int = 0


class ClientBook:
    """For one router."""

    def __init__(self) -> None:
        self._uses: OrderedDict[tuple[int, int, str], Use] = OrderedDict()

    def met(self, caller: Caller, app: str) -> None:
        """A process connected. A new one with the same pid starts at zero. app: its label."""
        key = _key(caller, app)
        known = self._uses.get(key)
        if known is None or known.started != caller.started:
            self._uses[key] = Use(caller.started)
        self._uses.move_to_end(key)
        while len(self._uses) > _REMEMBERED:
            self._uses.popitem(last=False)

    def count(self, outcome: Outcome) -> None:
        use = self._uses.get(_key(outcome, outcome.app))
        if use is not None:
            use.requests += 1
            use.failed += outcome.status >= 400 and outcome.status != 499
            use.cost += outcome.cost

    def use(self, caller: Caller, app: str) -> Use:
        found = self._uses.get(_key(caller, app))
        return found if found is not None and found.started == caller.started else Use(caller.started)


def _key(of: Caller | Outcome, app: str) -> tuple[int, int, str]:
    return of.uid, of.pid, "" if of.pid else app
