"""`llmock` with its injected faults as the only upstream: the OpenAI SDK by itself, and through the mesh."""

from __future__ import annotations

import threading
from typing import Any

import openai
import pytest

from tests.conformance.upstreams.conftest import configuration
from tests.conformance.upstreams.servers import KINDS, Server, missing

APPS = 12
REQUESTS = 6  # of each app
FAULTS = {
    "errors": ("--error-rate", "500=0.2", "--error-rate", "503=0.15", "--error-rate", "429=0.15"),
    "mostly": ("--error-rate", "500=0.35", "--error-rate", "503=0.2", "--error-rate", "408=0.1"),
    "streams": (
        *("--error-rate", "500=0.1", "--stream-fault", "disconnect=0.15"),
        *("--stream-fault", "truncate=0.1", "--stream-fault", "malformed=0.1"),
    ),
}
# A stream of the only model that breaks, or sends what cannot be read, after its first words is told as broken off.
LEAST = {"errors": 0.95, "mostly": 0.9, "streams": 0.75}
pytestmark = pytest.mark.timeout(300)


def whole(client: Any, model: str, stream: bool) -> bool:
    """Whether a whole answer came. A stream's end is its finish reason."""
    ask: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": "one two three four five six"}]}
    try:
        if not stream:
            return bool(client.chat.completions.create(**ask).choices[0].message.content)
        text, reason = "", None
        for chunk in client.chat.completions.create(**ask, stream=True):
            for choice in chunk.choices:
                text, reason = text + (choice.delta.content or ""), choice.finish_reason or reason
        return bool(text) and reason is not None
    except (openai.OpenAIError, OSError, ValueError):
        return False
    except Exception as error:
        if not type(error).__module__.startswith("http"):  # httpx's own, in mid-stream: the SDK passes them on
            raise
        return False


def load(make_client: Any, model: str, stream: bool) -> int:
    """How many of the requests of some apps at once were answered."""
    served: list[bool] = []

    def app() -> None:
        with make_client() as client:
            for _ in range(REQUESTS):
                served.append(whole(client, model, stream))

    threads = [threading.Thread(target=app) for _ in range(APPS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(250.0)
        assert not thread.is_alive()
    return sum(served)


@pytest.mark.parametrize("faults", list(FAULTS))
def test_the_mesh_gets_no_fewer_answers_than_the_sdk_alone(faults: str, short: Any, meshd: Any) -> None:
    import modelmesh

    if reason := missing("llmock"):
        pytest.skip(reason)
    server = Server(KINDS["llmock"], short / "llmock", options=FAULTS[faults]).start()
    try:
        daemon = meshd(configuration(server))
        stream = faults == "streams"
        alone = load(lambda: openai.OpenAI(base_url=server.base_url, api_key="none"), "gpt-4o", stream)
        mesh = load(lambda: modelmesh.openai_client(socket=str(daemon.socket)), "sut.gpt-4o", stream)
    finally:
        server.kill()
    print(f"{faults}: SDK alone {alone}, mesh {mesh} of {APPS * REQUESTS}")
    assert mesh >= alone
    assert mesh >= LEAST[faults] * APPS * REQUESTS
