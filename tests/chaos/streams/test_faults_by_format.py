"""Every way a stream can fail, in each API that apps speak, as the vendors' SDKs see it.

The app has one whole answer, or an error; never an answer that looks complete and is not.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.answers import stream_faults
from tests.support.apps.sdks.sdk_streams import FORMATS, PLACES, TOOL, heard

WORDS = ["The ", "quick ", "brown ", "fox ", "jumps."]
TEXT = "".join(WORDS)
FAULTS: dict[str, dict[str, Any]] = {
    **stream_faults.FAULTS,
    "error-as-reason": {
        "fault": "raw",
        "raw": 'data: {"id":"c","choices":[{"index":0,"delta":{"content":""},"finish_reason":"error"}]}\n\n',
    },
}
PHASES: dict[str, dict[str, Any]] = {"before": {}, "after": {"after": 2}}
MATRIX = [(phase, fault) for phase in PHASES for fault in FAULTS]
CALL = {"name": TOOL, "arguments": {"city": "Rome"}}
CALLED = [(TOOL, '{"city":"Rome"}')]
_HALF = '{"tool_calls":[{"index":0,"id":"c","type":"function","function":{"name":"weather","arguments":"{\\"ci"}}]}'
# Broken while tools are on offer: in the text before a call, in a call, after it.
HALF_CALL = {"fault": "raw", "raw": f'data: {{"id":"c","choices":[{{"index":0,"delta":{_HALF}}}]}}\n\n'}
CALLS = {
    **{f"{phase}-{fault}": {**FAULTS[fault], **PHASES[phase]} for phase, fault in MATRIX},
    "in-call": {**HALF_CALL, "after": 2},
    "call-first": HALF_CALL,
    "after-call": {"fault": "reset", "after": len(WORDS) + 1},
}
EVERY_APP = [pytest.param(app, marks=pytest.mark.soak if app == "gemini" else []) for app in FORMATS]
EVERYWHERE = [pytest.param(place, marks=[] if place == "tcp" else pytest.mark.soak) for place in PLACES]


def steps() -> dict[str, dict[str, Any]]:
    """Model → what it does."""
    made: dict[str, dict[str, Any]] = {"healthy": {"tokens": WORDS}, "caller": {"tokens": WORDS, "tool_call": CALL}}
    made |= {f"{phase}-{fault}": {"tokens": WORDS, **FAULTS[fault], **PHASES[phase]} for phase, fault in MATRIX}
    return made | {f"tools-{name}": {"tokens": WORDS, "tool_call": CALL, **step} for name, step in CALLS.items()}


@pytest.fixture(scope="module")
def upstream_server(module_upstream: Any) -> Any:
    return module_upstream({"script": {name: [step] for name, step in steps().items()}})


@pytest.fixture(scope="module")
def daemon(module_meshd: Any, module_short: Any, upstream_server: Any) -> Any:
    """For each fault a pool with a healthy model after the faulty one, and one without. Each faulty model has a
    provider of its own, so that no fault is another's; its failures are forgotten at once."""
    names = list(steps())
    short = {"first_token_timeout": "300ms", "idle_timeout": "300ms"}

    def pool(name: str, *others: str) -> dict[str, Any]:
        return {
            "models": [f"m-{name}", *others],
            "strategy": "priority-selection",
            "model_priority": [f"m-{name}"],
            "retry": {"max_attempts": 1},
            "deactivation": {"retry_limit": 1000},
            "stream": short,
        }

    return module_meshd(
        {
            "providers": {f"p-{name}": upstream_server.provider(timeout="1s") for name in names},
            "models": {
                f"m-{name}": {
                    "provider": f"p-{name}",
                    "model": name,
                    "capabilities": ["chat-completion"],
                    "features": {"tool_calling": True},
                }
                for name in names
            },
            "pools": {
                **{name: pool(name, f"m-{'caller' if name.startswith('tools-') else 'healthy'}") for name in names},
                **{f"alone-{name}": pool(name) for name in names},
            },
            "discovery": {"health": {"enabled": False}, "local": {"enabled": False}, "sync": {"enabled": False}},
            "proxy": {"enabled": True, "port": "auto", "socket": str(module_short / "http.sock")},
        }
    )


def as_new(daemon: Any, name: str) -> None:
    """An earlier test's failure of it is forgotten."""
    daemon.ask("POST", "/mesh/v1/models/activate", {"id": f"m-{name}"})


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("place", PLACES)
def test_without_a_fault_it_is_the_same_everywhere(daemon: Any, place: str, format: str) -> None:
    found = heard(daemon, place, format, "caller", tools=True)
    assert (found.text, found.calls, found.ended, found.error) == (TEXT, CALLED, "tool_calls", "")
    assert heard(daemon, place, format, "nothing").error


@pytest.mark.parametrize("format", EVERY_APP)
@pytest.mark.parametrize("place", EVERYWHERE)
@pytest.mark.parametrize(("phase", "fault"), MATRIX)
def test_another_model_makes_it_one_whole_answer(daemon: Any, place: str, format: str, phase: str, fault: str) -> None:
    as_new(daemon, f"{phase}-{fault}")
    found = heard(daemon, place, format, f"{phase}-{fault}")
    assert not found.error
    assert (found.text, found.calls, found.ended) == (TEXT, [], "stop")


@pytest.mark.parametrize("format", EVERY_APP)
@pytest.mark.parametrize("place", EVERYWHERE)
@pytest.mark.parametrize(("phase", "fault"), MATRIX)
def test_without_another_model_it_is_an_error(daemon: Any, place: str, format: str, phase: str, fault: str) -> None:
    as_new(daemon, f"{phase}-{fault}")
    found = heard(daemon, place, format, f"alone-{phase}-{fault}")
    assert found.error
    assert found.text == ("" if phase == "before" else "".join(WORDS[:2]))
    assert not found.ended


@pytest.mark.parametrize("format", EVERY_APP)
@pytest.mark.parametrize("place", EVERYWHERE)
@pytest.mark.parametrize("name", CALLS)
def test_with_tools_on_offer_a_call_stays_a_call(daemon: Any, place: str, format: str, name: str) -> None:
    as_new(daemon, f"tools-{name}")
    found = heard(daemon, place, format, f"tools-{name}", tools=True)
    found.is_honest(TEXT, CALLED, "tool_calls")
    assert TOOL not in found.text
    if name.startswith(("before-", "call-first")):
        assert name == "call-first" or not found.error, "nothing had reached the app"
    as_new(daemon, f"tools-{name}")
    alone = heard(daemon, place, format, f"alone-tools-{name}", tools=True)
    assert alone.error
    assert not alone.ended
    assert TOOL not in alone.text
