"""The same programs by the OpenAI SDK alone and by the thin client, from one provider: they give the same."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import openai
import pydantic
import pytest

import modelmesh
from tests.conformance.openai.programs.program import PROGRAMS
from tests.support.providers.rich_provider import rich_provider

pytestmark = pytest.mark.filterwarnings("ignore::pydantic.PydanticDeprecatedSince20")


@pytest.fixture(scope="module")
def provider():
    made = rich_provider()
    yield made
    made.close()


@pytest.fixture(scope="module")
def socket(provider, module_meshd):
    daemon = module_meshd(
        {
            "providers": {"p": {"connector": "openai-compatible.v1", "base_url": provider.url, "api_key": "EMPTY"}},
            "models": {
                "p.m": {
                    "provider": "p",
                    "model": "m",
                    "capabilities": ["chat-completion", "text-completion", "text-embeddings"],
                }
            },
            "pools": {"chat": {"models": ["p.m"], "deactivation": {"retry_limit": 1000}}},
            "discovery": {"local": {"enabled": False}, "health": {"enabled": False}},
        }
    )
    return str(daemon.socket)


def plain(value: Any) -> Any:
    """As it may be compared: objects of both clients as what they hold."""
    if isinstance(value, pydantic.BaseModel) or hasattr(value, "model_dump"):
        return plain(value.model_dump())
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def outcome(run: Any, client: Any) -> Any:
    try:
        return "gave", plain(run(client))
    except Exception as error:
        family = [cls.__name__ for cls in (openai.APIError, AttributeError, TypeError) if isinstance(error, cls)]
        return "raised", family or type(error).__name__


class Blocking:
    """An asyncio client, or a part of one, for programs that do not wait."""

    def __init__(self, loop: asyncio.AbstractEventLoop, inside: Any) -> None:
        self.__dict__.update(_loop=loop, _inside=inside)

    def _out(self, value: Any) -> Any:
        if inspect.isawaitable(value):
            value = self._loop.run_until_complete(value)
        is_answer = isinstance(value, dict | BaseException) or hasattr(value, "model_dump")
        waits = not is_answer and not hasattr(value, "raise_for_status")
        ours = waits and type(value).__module__.startswith("modelmesh")
        callable_or_lazy = (inspect.ismethod, inspect.isfunction, inspect.isasyncgen)
        return Blocking(self._loop, value) if ours or any(is_so(value) for is_so in callable_or_lazy) else value

    def __getattr__(self, name: str) -> Any:
        return self._out(getattr(self._inside, name))

    def __call__(self, *args: Any, **options: Any) -> Any:
        return self._out(self._inside(*args, **options))

    def __iter__(self) -> Any:
        if not hasattr(self._inside, "__aiter__"):
            yield from self._inside
            return
        items = self._inside.__aiter__()
        while True:
            try:
                yield self._loop.run_until_complete(anext(items))
            except StopAsyncIteration:
                return

    def __enter__(self) -> Any:
        return self._out(self._inside.__aenter__())

    def __exit__(self, *error: object) -> None:
        self._out(self._inside.__aexit__(None, None, None))


@pytest.fixture
def loop():
    made = asyncio.new_event_loop()
    yield made
    made.run_until_complete(made.shutdown_asyncgens())
    made.close()


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_gives_what_it_gives_with_the_sdk(provider, socket, loop, name):
    run = PROGRAMS[name]
    with openai.OpenAI(base_url=provider.url, api_key="EMPTY", max_retries=0) as sdk:
        theirs = outcome(run, sdk)
    with modelmesh.OpenAIClient(socket, max_retries=0) as thin:
        ours = outcome(run, thin)
    assert ours == theirs
    with Blocking(loop, modelmesh.AsyncOpenAIClient(socket, max_retries=0)) as thin:
        ours = outcome(run, thin)
    assert ours == theirs
