"""Requests and spend of each process that is or was connected.

Owns: the counts of the processes that were seen last.
Must never: be used for a decision; limits are in `meshd/routing/budgets/accounts.py`.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from meshd.core.caller import Peer
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
        self._uses: OrderedDict[tuple[int, int], Use] = OrderedDict()

    def met(self, caller: Peer) -> None:
        """A process connected. A new one with the same pid starts at zero."""
        key = caller.uid, caller.pid
        known = self._uses.get(key)
        if known is None or known.started != caller.started:
            self._uses[key] = Use(caller.started)
        self._uses.move_to_end(key)
        while len(self._uses) > _REMEMBERED:
            self._uses.popitem(last=False)

    def count(self, outcome: Outcome) -> None:
        use = self._uses.get((outcome.uid, outcome.pid))
        if use is not None:
            use.requests += 1
            use.failed += outcome.status >= 400 and outcome.status != 499
            use.cost += outcome.cost

    def use(self, caller: Peer) -> Use:
        found = self._uses.get((caller.uid, caller.pid))
        return found if found is not None and found.started == caller.started else Use(caller.started)
