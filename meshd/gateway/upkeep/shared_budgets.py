"""Regularly asks for this daemon's part of limits that several daemons share.

Owns: when to ask, and that only one question is open at a time. Must never: delay a request that fits into what is
granted."""

from __future__ import annotations

import asyncio

from meshd import messages
from meshd.gateway.actors import Tell
from meshd.gateway.runtime import Runtime
from meshd.host import clock
from meshd.routing.budgets.shares import Shares

_EVERY = 0.5  # s
_AHEAD = 2.0  # s between two questions that are also about the next days
_LOST = 15.0  # s after which no answer is expected any more: the state actor was restarted


class SharedBudgets:
    def __init__(self, runtime: Runtime, tell: Tell) -> None:
        self._runtime = runtime
        self._tell = tell
        self._number = 0  # of the open question
        self._asked_at: float | None = None
        self._ahead_at = 0.0  # when the next days were asked for
        self._timer: asyncio.TimerHandle | None = None

    def configure(self, shared: bool) -> None:
        """From now on, whether the storage divides limits."""
        accounts = self._runtime.state.accounts
        if shared and accounts.shares is None:
            accounts.shares = Shares(accounts, self._hurry)
        elif not shared and accounts.shares is not None:
            accounts.shares.end()
            accounts.shares = None
        if shared:
            self._hurry()

    def answered(self, answer: messages.BudgetGrants) -> None:
        shares = self._runtime.state.accounts.shares
        if answer.number != self._number or shares is None:
            return
        self._asked_at = None
        shares.take(answer.grants, connected=answer.connected)
        self._runtime.room.freed()
        self._again(_EVERY)

    def close(self) -> None:
        """Give back what was granted but not taken."""
        if self._timer is not None:
            self._timer.cancel()
        self._ask(last=True)

    def _hurry(self) -> None:
        if self._asked_at is None:
            self._again(0.0)

    def _again(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._ask)

    def _ask(self, *, last: bool = False) -> None:
        shares, now = self._runtime.state.accounts.shares, clock.now()
        if shares is None or (self._asked_at is not None and now < self._asked_at + _LOST and not last):
            return
        self._number += 1
        self._asked_at = now
        ahead = last or now >= self._ahead_at + _AHEAD
        self._ahead_at = now if ahead else self._ahead_at
        self._tell("state", messages.ClaimBudgets(self._number, shares.claims(now, ahead=ahead, last=last)))
        if not last:
            self._again(_LOST)
