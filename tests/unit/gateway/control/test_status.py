"""The daemon's status, however it is asked for."""

from __future__ import annotations

from meshd import messages
from meshd.sdk.provider import FailureKind
from tests.support.gateway.builder import VIM, Gateway


async def test_requests_are_in_flight_and_neither_listeners_nor_whoever_asks():
    gateway = Gateway()
    gateway.asks |= {
        messages.Supervision: {},
        messages.LastReload: None,
        messages.GetSyncStatus: {},
        messages.TelemetryStatus: [],
        messages.DiscoveryRemarks: [],
    }
    assert (await gateway.get("/mesh/v1/status"))["in_flight"] == 0
    gateway.has_in_flight(VIM, "/v1/chat/completions")
    gateway.has_in_flight(VIM, "/mesh/v1/events")
    shown = await gateway.get("/mesh/v1/status")
    assert (shown["in_flight"], shown["draining"], shown["requests"]) == (1, False, {"total": 0, "failed": 0})


async def test_a_model_that_fails_is_named_with_its_last_failure():
    gateway = Gateway()
    gateway.asks |= {messages.Supervision: {}, messages.LastReload: None, messages.GetSyncStatus: {}}
    gateway.asks[messages.TelemetryStatus] = []
    gateway.asks[messages.DiscoveryRemarks] = []
    known = gateway.runtime.state.model("a.one")
    known.failing_since, known.last_failure = 10.0, 20.0
    known.last_failure_kind, known.last_failure_said = FailureKind.SERVER, "overloaded"
    ahead = gateway.runtime.state.ahead
    assert (await gateway.get("/mesh/v1/status"))["failing"] == [
        {
            "id": "a.one",
            "provider": "a",
            "failing_since": 10.0 + ahead,
            "last_failure": 20.0 + ahead,
            "last_failure_reason": known.last_failure_reason,
            "last_failure_kind": "server",
            "last_failure_said": "overloaded",
        }
    ]
