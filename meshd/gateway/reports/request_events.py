"""The events of one request: how its attempts ended, for operators.

Must never: decide any of it.
"""

from __future__ import annotations

from meshd.core.events.event_type import EventType
from meshd.gateway.reports.state_publisher import StatePublisher
from meshd.routing.attempts.step import AttemptStep


class RequestEvents:
    """owner: uid and account of the app."""

    def __init__(self, publisher: StatePublisher, request_id: bytes, owner: tuple[int, str]) -> None:
        self._publisher = publisher
        self._request_id = request_id
        self._owner = owner

    def rotated(self, step: AttemptStep, before: str) -> None:
        after = step.model.id
        self._publisher.event(
            EventType.MODEL_ROTATED,
            ids={"pool": step.pool.name, "model": after},
            reason=f"{before} → {after}",
            changed={"from": before, "to": after},
        )

    def hedged(self, first: AttemptStep, second: AttemptStep) -> None:
        self._publisher.event(
            EventType.REQUEST_HEDGED,
            ids={"pool": first.pool.name, "model": second.model.id, "request": self._request_id.hex()},
            reason=f"{first.model.id} has not answered yet",
            changed={"from": first.model.id, "to": second.model.id},
            owner=self._owner,
        )

    def continued(self, broken: AttemptStep, why: str, pieces: int) -> None:
        """A stream broke after that many pieces, and another model will continue it."""
        changed = {"pieces": pieces}
        self._publisher.event(EventType.STREAM_CONTINUED, "warning", self._ids(broken), why, changed, owner=self._owner)

    def usage_replaced(self, step: AttemptStep, replaced: str) -> None:
        """A provider reported implausible usage."""
        counted = {"tokens_in": step.usage.input_tokens, "tokens_out": step.usage.output_tokens}
        self._publisher.event(
            EventType.USAGE_REPLACED, "warning", self._ids(step), replaced, counted, owner=self._owner
        )

    def _ids(self, step: AttemptStep) -> dict[str, str]:
        return {
            "pool": step.pool.name,
            "model": step.model.id,
            "provider": step.model.provider,
            "request": self._request_id.hex(),
        }
