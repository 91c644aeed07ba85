"""A pool of two providers whose answers are odd, and break, at random: the app has one whole answer each time."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from modelmesh import protocol as wire
from tests.support.apps.stream_app import INPUT, OUTPUT, Stream, ask, priced

WORDS = ["the ", "quick ", "brown ", "fox ", "jumps ", "over ", "a ", "lazy ", "dog ", "and ", "runs ", "away"]
TEXT = "".join(WORDS)
NAMES = ["one", "two"]
PROMPT = {"prompt_tokens": 8}  # of "hi", as OpenAI counts it
HARMLESS: list[dict[str, Any]] = [
    {},
    {"early": True},
    {"choice": {"finish_reason": "stop"}},
    {"early": True, "done": ""},
    {"choice": {"index": None}},
    {"choice": {"index": "0"}},
    {"choice": {"finish_reason": {}, "logprobs": False}},
    {"choice": {"error": None}},
    {"delta": {"refusal": False, "tool_calls": None, "function_call": 0}},
    {"delta": {"reasoning_details": [], "reasoning": {}}},
    {"top": {"error": {}}},
    {"top": {"error": {"message": "", "code": 0}}},
    {"top": {"base_resp": {"status_code": 0, "status_msg": "success"}}},
    {"top": {"object": None, "created": "now"}},
    {"between": "data:\n\n"},
    {"between": "data: null\n\n"},
    {"between": "data: heartbeat\n\n"},
    {"between": ': comment\n\nevent: ping\ndata: {"type":"ping"}\n\n'},
    {"before": "data: : OPENROUTER PROCESSING\n\n", "done": "[DONE] "},
    {"usage_choices": "absent"},
    {"usage_choices": "null"},
    {"parts": True},
    {"half": True},
]
TOLD = [
    '{"text":"the engine is overloaded","error_code":50001}',
    '{"object":"error","message":"boom","code":40303}',
    '{"detail":"boom"}',
    '{"base_resp":{"status_code":1002,"status_msg":"rate limit"}}',
    '{"error":"boom"}',
    '{"choices":[{"index":0,"delta":{"content":""},"finish_reason":"error"}]}',
    '{"choices":[{"index":0,"delta":{},"error":{"code":502,"message":"boom"}}]}',
]
FRAMED = ["data: %s\n\n", "%s\n\n", "event: error\ndata: %s\n\n"]
BODIES = [
    *TOLD[:5],
    '{"choices":[]}',
    '{"choices":[null]}',
    '{"choices":[{"index":0,"message":null}]}',
    "",
    "null",
    "{}",
    '{"choices":[{"index":0,"message":{"content":"half"},"finish_reason":"error"}],"usage":{"prompt_tokens":1}}',
]
FAULTS = ["reset", "clean_close", "cut_chunk", "bad_end", "error_event", "empty", "html"]


class Trial:
    """What the two do with one request. broken: the first one fails. expected: the text that the app is to have."""

    def __init__(self, seed: int, stream: bool) -> None:
        chance = random.Random(f"{seed} {stream}")
        odd = {name: chance.choice(HARMLESS) for name in NAMES}
        steps: dict[str, dict[str, Any]] = {
            name: {"tokens": WORDS, "usage": PROMPT, "odd": odd[name]} for name in NAMES
        }
        self.broken = chance.random() < 0.5
        if self.broken:
            steps["one"] |= self._fault(chance, stream)
            if steps["one"].get("after"):
                steps["two"]["usage"] = {"prompt_tokens": 100}  # with the text so far, and what is said of it
            # A finish reason that came too soon makes a close look like an end, and no client can know better.
            if steps["one"].get("fault") in ("clean_close", "empty", "html", "cut_chunk", "reset"):
                steps["one"]["odd"] = chance.choice(
                    [each for each in HARMLESS if "early" not in each and "choice" not in each]
                )
        self.script = {name: [step] for name, step in steps.items()}
        self.expected = TEXT + ("\ud83c" if odd["two" if self.broken else "one"].get("half") else "")

    def __repr__(self) -> str:
        return json.dumps(self.script)

    @staticmethod
    def _fault(chance: random.Random, stream: bool) -> dict[str, Any]:
        after = chance.choice([0, 0, chance.randrange(1, 8)]) if stream else 0
        if not stream and chance.random() < 0.6:
            return {"fault": "raw", "raw": chance.choice(BODIES)}
        if stream and chance.random() < 0.6:
            return {"fault": "raw", "raw": chance.choice(FRAMED) % chance.choice(TOLD), "after": after}
        return {
            "fault": chance.choice(FAULTS if stream else [each for each in FAULTS if each != "clean_close"]),
            "after": after,
        }


def text_of(content: Any) -> str:
    """As an OpenAI client would show it."""
    if isinstance(content, list):
        return "".join(part["text"] for part in content)
    return content or ""


def shown(stream: Stream) -> str:
    choices = [choice for chunk in stream.chunks for choice in chunk.get("choices") or ()]
    return "".join(text_of(choice["delta"].get("content")) for choice in choices)


@pytest.fixture(scope="module")
def upstream_server(module_upstream):
    return module_upstream([{"echo": True}])


@pytest.fixture(scope="module")
def daemon(module_meshd, upstream_server):
    return module_meshd(
        {
            **priced(upstream_server, NAMES),
            "pools": {
                "all": {
                    "models": ["m-one", "m-two"],
                    "strategy": "priority-selection",
                    "model_priority": ["m-one", "m-two"],
                    "retry": {"max_attempts": 1},
                    "deactivation": {"retry_limit": 1_000_000},
                    "stream": {"first_token_timeout": "5s", "idle_timeout": "5s"},
                }
            },
            "discovery": {"health": {"enabled": False}},
        }
    )


def spent(daemon: Any) -> dict[str, int]:
    return {name: round(daemon.model(f"m-{name}")["cost"] * 1e9) for name in NAMES}


def run(daemon: Any, upstream_server: Any, line: Any, seed: int, stream: bool) -> None:
    trial = Trial(seed, stream)
    upstream_server.play({"script": trial.script})  # its bill starts at zero
    for name in NAMES:
        daemon.ask("POST", "/mesh/v1/models/activate", {"id": f"m-{name}"})
    before = spent(daemon)
    if stream:
        answer = ask(line, "all")
        assert answer.ended, (trial, answer.end.head)
        head, text = answer.end.head, shown(answer)
        assert len({chunk.get("id") for chunk in answer.chunks}) == 1, trial
        assert len(answer.usages) == 1, trial
    else:
        line.chat(model="all")
        message = line.receive(wire.RESPONSE)
        head = message.head
        text = text_of(json.loads(message.body)["choices"][0]["message"]["content"])
    assert ascii(text) == ascii(trial.expected), trial
    asked = [attempt["model"] for attempt in head.mesh["attempts"]]
    assert asked == (["m-one", "m-two"] if trial.broken else ["m-one"]), trial
    cost = {name: total - before[name] for name, total in spent(daemon).items()}
    assert round(head.mesh["cost"] * 1e9) == sum(cost.values()), trial
    delivered = upstream_server.served["delivered"]
    for name in NAMES:
        counted = delivered.get(name, {"prompt_tokens": 0, "completion_tokens": 0})
        charged = counted["prompt_tokens"] * INPUT + counted["completion_tokens"] * OUTPUT
        if trial.broken and name == "one":
            assert cost[name] >= charged, trial
        else:
            assert cost[name] == charged, trial


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "unary"])
@pytest.mark.parametrize("decade", range(6))
def test_one_whole_answer_whatever_they_do(daemon, upstream_server, dial, stream, decade):
    line = dial(daemon.socket)
    for seed in range(10 * decade, 10 * decade + 10):
        run(daemon, upstream_server, line, seed, stream)


@pytest.mark.soak
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "unary"])
def test_a_thousand_whole_answers(daemon, upstream_server, dial, stream):
    line = dial(daemon.socket)
    for seed in range(1000, 2000):
        run(daemon, upstream_server, line, seed, stream)
