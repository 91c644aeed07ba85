"""A daemon with scripted providers, for frameworks that others wrote; each test module has its own.

They want an `openai` package of another generation than the other tests, so they have an environment of their own:
`make conformance`. Elsewhere each is skipped with what it lacks.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.answers.weather_tool import CALL
from tests.support.client.doors import Door, proxy
from tests.support.daemons.scripted import scripted

OTHER_CALL = {**CALL, "id": "call_4", "arguments": {"city": "Oslo"}}
PERSON = {"name": "Ada", "age": 36}
CONFIG = scripted(
    {
        "agent": [{"tool_call": CALL}, {"reply": "It is sunny in Paris"}],
        "parallel": [{"tool_calls": [CALL, OTHER_CALL]}, {"echo_results": True}],
        "person-tool": [{"tool_call": {"name": "Person", "arguments": PERSON, "id": "call_2"}}],
        "final-result": [{"tool_call": {"name": "final_result", "arguments": PERSON, "id": "call_3"}}],
        "final-answer": [
            {"tool_call": CALL},
            {"tool_call": {"name": "final_answer", "arguments": {"answer": "sunny"}}},
        ],
    }
)


@pytest.fixture(scope="module")
def daemon(module_meshd: Any, module_short: Path) -> Any:
    return module_meshd({**CONFIG, "proxy": proxy(module_short)})


@pytest.fixture(params=["mesh", "tcp"])
def door(request: Any, daemon: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Door:
    """The daemon's mesh socket, or its address. No key is there, and a proxy in the environment does not matter."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    monkeypatch.setenv("LLM_USER_PATH", str(tmp_path))
    return Door(request.param, daemon)


@pytest.fixture
def person() -> Any:
    """The pydantic class that answers are read into."""
    pydantic = pytest.importorskip("pydantic")
    return pydantic.create_model("Person", name=(str, ...), age=(int, ...))


def weather(city: str) -> str:
    """The weather in a city.

    Args:
        city: the city's name
    """
    return f"sunny in {city}"


@pytest.fixture(name="weather")
def _weather() -> Any:
    return weather
