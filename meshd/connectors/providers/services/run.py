"""Carries out the steps of a service, one after the other.

Owns: ending a job whose call ends first. Must never: know a particular service, or limit the time (its caller does).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from meshd.sdk.provider import ProviderFailure
from meshd.services.seam import Ask, Begun, Malformed, Result, Step, Steps, Told, Wait


async def carry_out(
    steps: Steps,
    ask: Callable[[Ask], Awaitable[Told]],
    malformed: Callable[[Ask, Told | None, str], ProviderFailure],
    cancel: Callable[[Ask], None],
) -> Result:
    """ask: sends a request. malformed: the failure for an answer that lacks something. cancel: called with the request
    that ends a job, if the steps did not complete. Raises ProviderFailure."""
    run = _Run(steps, malformed)
    try:
        while (step := run.next()) is not None:
            if isinstance(step, Ask):
                run.asked, run.told = step, await ask(step)
            elif isinstance(step, Wait):
                await asyncio.sleep(step.seconds)
            else:
                run.job = step
        assert run.result is not None, "the steps have ended"
        return run.result
    except ProviderFailure as failure:
        if run.job is not None:  # it may have been carried out, and then has to be paid for
            failure.unsent, failure.status = False, 0
        raise
    finally:
        steps.close()
        if run.job is not None and run.job.cancel is not None and not run.ended:
            cancel(run.job.cancel)


class _Run:
    """ended: whether the steps have ended, in any way."""

    def __init__(self, steps: Steps, malformed: Callable[[Ask, Told | None, str], ProviderFailure]) -> None:
        self._steps = steps
        self._malformed = malformed
        self.asked = Ask("", "")
        self.told: Told | None = None
        self.job: Begun | None = None
        self.result: Result | None = None
        self.ended = False

    def next(self) -> Step | None:
        """None at the end. Raises ProviderFailure."""
        told: Any = self.told
        try:
            return self._steps.send(told)
        except StopIteration as end:
            self.result, self.ended = end.value, True
            return None
        except Malformed as lacks:
            self.ended = True
            raise self._malformed(self.asked, self.told, str(lacks)) from None
        except BaseException:
            self.ended = True
            raise
