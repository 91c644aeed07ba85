"""Every way a stream can fail, of providers of each format but OpenAI's chat, in each API of apps.

`test_faults_by_format.py` has the same for providers that speak OpenAI's chat. A sample runs always, each fault before
and after the first content; all combinations with `-m soak`.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.answers import stream_faults
from tests.support.apps.sdks.sdk_streams import FORMATS, TOOL, heard
from tests.support.formats.converse_frames import exception
from tests.support.providers.faulty.faulty_apis import PATHS, FaultyApis, behind
from tests.support.providers.vendors.three_apis import Json, Said

TEXT = "The quick brown fox jumps."
CITY = {"city": "Rome"}
CALLED = [(TOOL, CITY)]
SAID = Said(TEXT)
CALLING = Said(TEXT, calls=((TOOL, CITY),))
ONLY_CALLING = Said("", calls=((TOOL, CITY),))
PHASES = ("before", "after")
TIMED = ("-silence", "-late", "-trickle")
CLOCKS = {"first_token_timeout": "600ms", "idle_timeout": "300ms"}
"""Only for what a clock ends, so that a slow machine does not end another answer."""


def _event(document: Json) -> Json:
    return {"fault": "raw", "raw": f"event: {document['type']}\ndata: {json.dumps(document)}\n\n"}


_FAILED = {"id": "r", "status": "failed", "error": {"code": "server_error", "message": "no"}, "output": []}
_BUSY = {"error": {"code": 503, "message": "no", "status": "UNAVAILABLE"}}
TOLD: dict[str, dict[str, Json]] = {
    "anthropic": {
        "told": _event({"type": "error", "error": {"type": "api_error", "message": "no"}, "request_id": "req_1"})
    },
    "responses": {
        "told": _event({"type": "response.failed", "sequence_number": 99, "response": _FAILED}),
        "told-flat": _event(
            {"type": "error", "code": "server_error", "message": "no", "param": None, "sequence_number": 99}
        ),
    },
    "gemini": {"told": {"fault": "raw", "raw": f"data: {json.dumps(_BUSY)}\r\n\r\n"}},
    "cohere": {"told": _event({"type": "message-end", "delta": {"finish_reason": "ERROR", "error": "no"}})},
    "bedrock": {"told": {"fault": "raw", "raw": exception("modelStreamErrorException", "no").decode("latin-1")}},
}
"""An error as the API itself tells it."""
PIECE_OF_CALL = {
    "anthropic": "input_json_delta", "responses": "function_call_arguments.delta", "cohere": "tool-call-delta",
    "bedrock": '"input"',
}  # fmt: skip
"""Gemini's come whole, the last with the answer's end."""
END_OF_CALL = {
    "anthropic": "content_block_stop", "responses": "output_item.done", "cohere": "tool-call-end",
    "bedrock": "contentBlockStop",
}  # fmt: skip


def faults(spoken: str) -> dict[str, Json]:
    return {**stream_faults.FAULTS, **TOLD[spoken]}


def breaking_calls(spoken: str) -> dict[str, tuple[Said, Json]]:
    """In a call that comes after some text, in one that comes first, and between a call and the answer's end."""
    made = {}
    for fault in ("reset", "clean_close") if spoken in PIECE_OF_CALL else ():
        piece, end = PIECE_OF_CALL[spoken], END_OF_CALL[spoken]
        made |= {
            f"in-call-{fault}": (CALLING, {"fault": fault, "after": behind(spoken, CALLING, piece)}),
            f"call-first-{fault}": (ONLY_CALLING, {"fault": fault, "after": behind(spoken, ONLY_CALLING, piece)}),
            f"after-call-{fault}": (CALLING, {"fault": fault, "after": behind(spoken, CALLING, end, last=True)}),
        }
    if spoken == "anthropic":  # as a gateway ends what was cut
        at = behind(spoken, CALLING, PIECE_OF_CALL[spoken])
        made["in-call-stopped"] = (CALLING, {**_event({"type": "message_stop"}), "after": at})
    return made


def models() -> dict[str, tuple[Said, Json]]:
    """By name; what comes before its first dash is what its provider speaks."""
    made: dict[str, tuple[Said, Json]] = {}
    for spoken in PATHS:
        made |= {f"{spoken}-healthy": (SAID, {}), f"{spoken}-caller": (CALLING, {})}
        for phase, (fault, step) in itertools.product(PHASES, faults(spoken).items()):
            step = {**step, "after": 2} if phase == "after" else step
            made[f"{spoken}-{phase}-{fault}"] = (SAID, step)
            made[f"{spoken}-tools-{phase}-{fault}"] = (CALLING, step)
        made |= {f"{spoken}-tools-{name}": case for name, case in breaking_calls(spoken).items()}
    return made


@pytest.fixture(scope="module")
def server() -> Iterator[FaultyApis]:
    made = FaultyApis(models())
    yield made
    made.close()


@pytest.fixture(scope="module")
def daemon(module_meshd: Any, module_short: Any, server: FaultyApis) -> Any:
    """For each faulty model a pool with a healthy one of its format after it, and one without. Each has a provider of
    its own, so that no fault is another's."""
    config: Json = {
        "providers": {},
        "models": {},
        "pools": {},
        "discovery": {"health": {"enabled": False}, "local": {"enabled": False}, "sync": {"enabled": False}},
        "proxy": {"enabled": True, "port": "auto", "socket": str(module_short / "http.sock")},
    }
    for name in models():
        spoken = name.partition("-")[0]
        config["providers"][f"p-{name}"] = server.speaking(spoken)
        config["models"][f"m-{name}"] = {
            "provider": f"p-{name}",
            "model": name,
            "capabilities": ["chat-completion"],
            "features": {"tool_calling": True},
        }
        next_one = f"m-{spoken}-{'caller' if '-tools-' in name else 'healthy'}"
        for pool, others in ((name, [next_one]), (f"alone-{name}", [])):
            config["pools"][pool] = {
                "models": [f"m-{name}", *(other for other in others if other != f"m-{name}")],
                "strategy": "priority-selection",
                "model_priority": [f"m-{name}"],
                "retry": {"max_attempts": 1},
                "deactivation": {"retry_limit": 1000},
                "stream": CLOCKS if name.endswith(TIMED) else {},
            }
    return module_meshd(config)


def as_new(daemon: Any, name: str) -> None:
    """An earlier test's failure of it is forgotten."""
    daemon.ask("POST", "/mesh/v1/models/activate", {"id": f"m-{name}"})


def sampled(cases: list[str]) -> list[Any]:
    """Each case with each API of apps; the sample takes these in turn, and of the newer formats every third case."""
    made = []
    for number, case in enumerate(cases):
        every = 1 if case.startswith(("anthropic", "responses")) else 3
        for at, app in enumerate(FORMATS):
            marks = [] if number % every == 0 and at == number // every % len(FORMATS) else [pytest.mark.soak]
            made.append(pytest.param(case, app, marks=marks, id=f"{case}-{app}"))
    return made


CASES = [f"{spoken}-{phase}-{fault}" for spoken in PATHS for fault in faults(spoken) for phase in PHASES]
CALLS = [name for name in models() if "-tools-" in name]


@pytest.mark.parametrize(("name", "app"), sampled(CASES))
def test_one_whole_answer_or_an_error(daemon: Any, name: str, app: str) -> None:
    as_new(daemon, name)
    found = heard(daemon, "tcp", app, name)
    assert (found.error, found.text, found.calls, found.ended) == ("", TEXT, [], "stop")
    as_new(daemon, name)
    alone = heard(daemon, "tcp", app, f"alone-{name}")
    assert alone.error
    assert alone.text == ("" if "-before-" in name else TEXT[:8])
    assert not alone.ended


@pytest.mark.parametrize(("name", "app"), sampled(CALLS))
def test_with_tools_on_offer_a_call_stays_a_call(daemon: Any, name: str, app: str) -> None:
    as_new(daemon, name)
    found = heard(daemon, "tcp", app, name, tools=True)
    assert TOOL not in found.text
    if not found.error:
        calls = [(called, json.loads(arguments)) for called, arguments in found.calls]
        assert (found.text, calls, found.ended) == (TEXT, CALLED, "tool_calls")
    assert not (found.error and "-before-" in name), "nothing had reached the app"
    as_new(daemon, name)
    alone = heard(daemon, "tcp", app, f"alone-{name}", tools=True)
    assert alone.error
    assert not alone.ended
    assert TOOL not in alone.text
