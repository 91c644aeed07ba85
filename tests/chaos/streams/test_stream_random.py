"""Streams that break again and again, at random: whatever continues, and whatever is repeated, the text is exact."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.support.apps.stream_app import Money, Stream, ask, priced

WORDS = [f"<{number:03d}> " for number in range(60)]
TEXT = "".join(WORDS)
BREAKING = 4
NAMES = [f"breaks{number}" for number in range(BREAKING)] + ["healthy"]
FAULTS: list[dict[str, Any]] = [
    {"fault": "reset"},
    {"fault": "clean_close"},
    {"fault": "cut_chunk"},
    {"fault": "silence"},
    {"fault": "bad_end"},
    {"fault": "html"},
    {"fault": "error_event"},
    {"fault": "error_event", "shape": "anthropic"},
    {"fault": "error_event", "shape": "gemini"},
    {"fault": "error_event", "shape": "gemini_list"},
    {"byte_delay": "20ms"},
    {"error": 400, "message": "Last message must have role `user`."},
    {"error": 503},
]


class Trial:
    """A script for every model, in the order in which they are asked. told: words that the app has. continued: how
    often somebody has to go on. asked: models."""

    def __init__(self, seed: int) -> None:
        chance = random.Random(seed)
        self.told = 0
        self.continued = 0
        self.asked: list[str] = []
        self.script: dict[str, list[dict[str, Any]]] = {}
        for name in NAMES:
            first = self._first_word(chance)
            tokens = WORDS[first:]
            step: dict[str, Any] = {"tokens": tokens, "preface": chance.random() < 0.5}
            if name != "healthy":
                step |= chance.choice(FAULTS)
                if self.told == 0 and step.get("error") == 400:
                    step["error"] = 500  # before there is anything to go on with it would be the app's mistake
                # What was sent just before a reset may be lost with it: of a few words the kernel has let go.
                most = min(len(tokens), 8) if step.get("fault") == "reset" else len(tokens)
                step["after"] = 0 if "error" in step else chance.choice([0, chance.randrange(1, most + 1)])
                self._breaks(first, step["after"])
            self.script[name] = [step]
            self.asked.append(f"m-{name}")

    def _first_word(self, chance: random.Random) -> int:
        """Where the next begins: at the beginning, a few words before what the app has, or just after it."""
        return chance.choice([0, max(self.told - 3, 0), self.told]) if self.told < len(WORDS) else 0

    def _breaks(self, first: int, after: int) -> None:
        if after:
            # One that repeats and does not come to anything new has content all the same.
            self.continued += 1
        self.told = max(self.told, first + after)


@pytest.fixture(scope="module")
def upstream_server(module_upstream):
    return module_upstream([{"echo": True}])


@pytest.fixture(scope="module")
def daemon(module_meshd, upstream_server):
    models = [f"m-{name}" for name in NAMES]
    return module_meshd(
        {
            **priced(upstream_server, NAMES),
            "pools": {
                "all": {
                    "models": models,
                    "strategy": "priority-selection",
                    "model_priority": models,
                    "retry": {"max_attempts": 1},
                    "deactivation": {"retry_limit": 1_000_000},
                    "stream": {"first_token_timeout": "150ms", "idle_timeout": "150ms"},
                }
            },
            "discovery": {"health": {"enabled": False}},
        }
    )


def run(daemon: Any, upstream_server: Any, dial: Any, seed: int) -> Stream:
    trial = Trial(seed)
    upstream_server.play({"script": trial.script})
    for name in NAMES:
        daemon.ask("POST", "/mesh/v1/models/activate", {"id": f"m-{name}"})
    money = Money(daemon, upstream_server, *NAMES)
    line = dial(daemon.socket)
    stream = ask(line, "all")
    line.close()
    stream.is_one_answer(TEXT)
    assert stream.attempts == trial.asked
    assert stream.mesh.get("continued", 0) == trial.continued
    money.is_settled()
    assert round(stream.mesh["cost"] * 1e9) == sum(map(money.spent, NAMES))
    return stream


@pytest.mark.parametrize("seed", range(25))
def test_the_text_is_exact_however_often_it_breaks(daemon, upstream_server, dial, seed):
    run(daemon, upstream_server, dial, seed)


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_the_text_is_exact_in_a_thousand_trials(daemon, upstream_server, dial, capsys):
    continued = [run(daemon, upstream_server, dial, seed).mesh.get("continued", 0) for seed in range(25, 1025)]
    with capsys.disabled():
        print(f"\n{len(continued)} streams, continued {sum(continued)} times, {max(continued)} at most")
