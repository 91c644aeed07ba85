"""What the OpenAI SDK gets from a server directly, it gets through the mesh.

Servers that others wrote, as real processes, at the versions of `packages.toml`.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import openai
import pytest

from tests.conformance.upstreams.conftest import configuration
from tests.support.answers.weather_tool import TOOL, WIRE_CALL


def asked(model: str, text: str = "hello there", **options: Any) -> dict[str, Any]:
    return {
        "model": model,
        "messages": [{"role": "user", "content": text}],
        "max_tokens": 24,
        "temperature": 0,
        **options,
    }


def needs(value: Any) -> Any:
    if not value:
        pytest.skip("it does not have this")
    return value


def both(stage: Any, model: str, ask: Any) -> tuple[Any, Any]:
    try:
        direct = ask(stage.direct, model)
    except openai.InternalServerError as error:  # Portkey 1.15.2 streams nothing on Node 20
        pytest.skip(f"{stage.kind.name} itself fails here: {error}")
    return direct, ask(stage.mesh, f"sut.{model}")


def test_a_chat(stage):
    def ask(client, model):
        return client.chat.completions.create(**asked(model))

    direct, mesh = both(stage, needs(stage.kind.chat), ask)
    assert mesh.choices[0].message.content
    assert mesh.choices[0].finish_reason == direct.choices[0].finish_reason
    if stage.kind.repeats:
        assert mesh.choices[0].message.content == direct.choices[0].message.content
        assert mesh.usage == direct.usage


def test_a_stream(stage):
    def ask(client, model):
        text, reasons = "", []
        for chunk in client.chat.completions.create(**asked(model), stream=True):
            for choice in chunk.choices:
                text += choice.delta.content or ""
                reasons += [choice.finish_reason] if choice.finish_reason else []
        return text, reasons

    direct, mesh = both(stage, needs(stage.kind.chat), ask)
    assert mesh[0]
    assert mesh[1] == direct[1]
    if stage.kind.repeats:
        assert mesh == direct


def test_a_stream_with_usage(stage):
    def ask(client, model):
        options = {"stream": True, "stream_options": {"include_usage": True}}
        return [chunk.usage for chunk in client.chat.completions.create(**asked(model), **options) if chunk.usage]

    direct, mesh = both(stage, needs(stage.kind.chat), ask)
    assert len(mesh) == len(direct)
    if stage.kind.repeats:
        assert mesh == direct


def test_a_tool_call(stage):
    def ask(client, model):
        answer = client.chat.completions.create(**asked(model, "the weather in Paris?"), tools=[TOOL])
        return [(call.function.name, call.function.arguments) for call in answer.choices[0].message.tool_calls]

    direct, mesh = both(stage, needs(stage.kind.tools), ask)
    assert mesh == direct
    assert mesh[0][0] == "weather"


def test_a_streamed_tool_call(stage):
    def ask(client, model):
        name, arguments = "", ""
        for chunk in client.chat.completions.create(**asked(model, "the weather in Paris?"), tools=[TOOL], stream=True):
            for choice in chunk.choices:
                for call in choice.delta.tool_calls or ():
                    name += call.function.name or ""
                    arguments += call.function.arguments or ""
        return name, arguments

    direct, mesh = both(stage, needs(stage.kind.stream_tools and stage.kind.tools), ask)
    assert mesh == direct
    assert mesh[0] == "weather"


def test_a_tools_result_goes_back(stage):
    conversation = [
        {"role": "user", "content": "what is it like in Paris?"},
        {"role": "assistant", "content": None, "tool_calls": [WIRE_CALL]},
        {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
    ]
    if stage.kind.name == "xllamacpp":
        pytest.skip("a small model's template knows no tools")

    def ask(client, model):
        return client.chat.completions.create(**{**asked(model), "messages": conversation}, tools=[TOOL])

    direct, mesh = both(stage, needs(stage.kind.chat), ask)
    assert mesh.choices[0].message.content == direct.choices[0].message.content


def test_embeddings(stage):
    def ask(client, model):
        return [row.embedding for row in client.embeddings.create(model=model, input=["one", "two"]).data]

    direct, mesh = both(stage, needs(stage.kind.embeddings), ask)
    assert len(mesh) == 2
    for row, wanted in zip(mesh, direct, strict=True):
        assert row == pytest.approx(wanted)


def test_its_own_error_reaches_the_app(stage):
    def ask(client, model):
        with pytest.raises(openai.APIStatusError) as caught:
            client.chat.completions.create(**asked(model, "break"))
        return caught.value

    model = needs(stage.kind.broken)
    direct, mesh = both(stage, model, ask)
    assert "it broke" in str(direct)
    assert "it broke" in str(mesh)


def test_a_model_that_it_does_not_have(stage):
    with pytest.raises(openai.NotFoundError):
        stage.mesh.chat.completions.create(**asked("sut.no-such-model"))


def test_its_models_are_listed(stage):
    listed = {model.id for model in stage.mesh.models.list()}
    wanted = {f"sut.{model}" for model in (stage.kind.chat, stage.kind.embeddings) if model}
    assert wanted <= listed


def test_discovery(stage, module_meshd):
    """With nothing but its address, what it lists can be asked."""
    needs(stage.kind.lists)
    daemon = module_meshd({"providers": {"sut": stage.server.provider()}})
    try:
        listed = {model.id for model in stage.direct.models.list()}
        assert listed
        client = daemon.client()
        deadline = time.monotonic() + 20.0
        while not listed <= {model.id.removeprefix("sut.") for model in client.models.list().data}:
            assert time.monotonic() < deadline, "what it lists did not appear"
            time.sleep(0.05)
    finally:
        daemon.close()


def test_a_probe_does_not_take_it_out(stage):
    """Whatever it answers to a probe: what serves requests stays in use."""
    model = stage.kind.chat
    for _ in range(2):
        stage.daemon.ask("POST", "/mesh/v1/probe", {"provider": "sut"})
    if model:
        assert stage.mesh.chat.completions.create(**asked(f"sut.{model}")).choices[0].message.content
    else:
        assert stage.mesh.embeddings.create(model=f"sut.{stage.kind.embeddings}", input="x").data


class Load:
    """A few apps that ask one thing after another, for as long as it is open. streams: every other one's are."""

    def __init__(self, daemon: Any, model: str, apps: int = 4, streams: bool = False) -> None:
        self.failed: list[str] = []
        self.longest = 0.0
        self.served = 0
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._clients = [daemon.client(timeout=60.0, max_retries=2) for _ in range(apps)]
        self._threads = [
            threading.Thread(target=self._ask, args=(client, model, streams and bool(number % 2)))
            for number, client in enumerate(self._clients)
        ]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(90.0)
            assert not thread.is_alive()

    def wait_for(self, more: int, seconds: float = 100.0) -> None:
        wanted, deadline = self.served + more, time.monotonic() + seconds
        while self.served < wanted:
            assert time.monotonic() < deadline, f"{self.served} of {wanted} served; {self.failed[:3]}"
            time.sleep(0.01)

    def _ask(self, client: Any, model: str, stream: bool) -> None:
        while not self._over.is_set():
            started = time.monotonic()
            try:
                answer = client.chat.completions.create(**asked(model, max_tokens=6, stream=stream))
                if stream:
                    assert [1 for chunk in answer for choice in chunk.choices if choice.finish_reason], "no end"
            except Exception as error:
                with self._lock:
                    self.failed.append(repr(error))
                self._over.wait(0.05)
            else:
                with self._lock:
                    self.served += 1
                    self.longest = max(self.longest, time.monotonic() - started)


@pytest.mark.timeout(400)  # some of them take long to start
def test_a_restart_under_load_with_a_second_provider(kind, make_server, meshd, upstream):
    needs(kind.chat)
    server = make_server(kind)
    config = configuration(server)
    config["providers"]["other"] = upstream().provider()
    config["models"]["other.one"] = {"provider": "other", "model": "one", "capabilities": ["chat-completion"]}
    config["pools"] = {"both": {"models": [f"sut.{kind.chat}", "other.one"], "strategy": "round-robin"}}
    daemon = meshd(config)
    with Load(daemon, "both", streams=True) as load:
        load.wait_for(8)
        server.kill()
        load.wait_for(20)
        server.start()
        load.wait_for(8)
    assert load.failed == []


@pytest.mark.timeout(400)  # some of them take long to start
def test_a_restart_under_load_without_another(kind, make_server, meshd):
    needs(kind.chat)
    server = make_server(kind)
    daemon = meshd(configuration(server))
    with Load(daemon, f"sut.{kind.chat}") as load:
        load.wait_for(8)
        usual, gone = load.longest, time.monotonic()
        server.kill()
        server.start()
        outage = time.monotonic() - gone
        load.wait_for(8)
    assert load.failed == []
    assert load.longest <= outage + 3.0 + usual
