"""From a flaky server an app gets no fewer answers through the mesh than the OpenAI SDK gets from it by itself."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from tests.support.providers.faulty.flaky_server import FAULTS, REFUSALS, FlakyServer

openai = pytest.importorskip("openai")

SHARE = 0.5  # of the calls that fail
REQUESTS = 16
SECONDS = 1.0  # that a call may take
KINDS = (*FAULTS, "mixed")
pytestmark = pytest.mark.timeout(240)


def asked(client: Any, model: str, requests: int = REQUESTS) -> int:
    """How many had an answer. One that has no text is none."""
    served = 0
    for _ in range(requests):
        try:
            answer = client.chat.completions.create(model=model, messages=[{"role": "user", "content": "hi"}])
            choices = getattr(answer, "choices", None)  # the SDK gives a page of HTML as a text
            served += bool(choices and choices[0].message.content)
        except (openai.OpenAIError, ValueError):  # ValueError: JSON that the SDK cannot read
            pass
    return served


@pytest.fixture
def servers() -> Iterator[Any]:
    made: list[FlakyServer] = []

    def make(fault: str, share: float | None = SHARE) -> FlakyServer:
        made.append(FlakyServer(fault, share, seed=5))
        return made[-1]

    yield make
    for server in made:
        server.close()


def configuration(urls: dict[str, str]) -> dict[str, Any]:
    names = {fault: fault.replace(" ", "-") for fault in urls}
    return {
        "providers": {
            names[fault]: {
                "connector": "openai-compatible.v1",
                "base_url": url,
                "auth": {"method": "none"},
                "timeout": f"{SECONDS:g}s",
            }
            for fault, url in urls.items()
        },
        "models": {
            f"{name}.m": {"provider": name, "model": "m", "capabilities": ["chat-completion"]}
            for name in names.values()
        },
    }


def by_both(servers: Any, meshd: Any, kinds: Iterable[str], requests: int, **share: Any) -> Any:
    """(kind → how many the SDK got by itself, kind → how many the mesh got), each from a server of its own."""
    import modelmesh

    daemon = meshd(configuration({kind: servers(kind, **share).url for kind in kinds}))
    alone: dict[str, int] = {}
    mesh: dict[str, int] = {}

    def by_the_sdk(kind: str) -> None:
        with openai.OpenAI(base_url=servers(kind, **share).url, api_key="none", timeout=SECONDS) as client:
            alone[kind] = asked(client, "m", requests)

    def by_the_mesh(kind: str) -> None:
        with modelmesh.openai_client(socket=str(daemon.socket), timeout=60.0) as client:
            mesh[kind] = asked(client, f"{kind.replace(' ', '-')}.m", requests)

    threads = [threading.Thread(target=each, args=(kind,)) for kind in kinds for each in (by_the_sdk, by_the_mesh)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(200.0)
        assert not thread.is_alive()
    for kind in kinds:
        print(f"{kind}: SDK alone {alone[kind]}, mesh {mesh[kind]} of {requests}")
    fewer = {kind: (mesh[kind], alone[kind]) for kind in kinds if mesh[kind] < alone[kind]}
    assert not fewer, "(mesh, SDK alone)"
    return mesh


def test_the_mesh_gets_no_fewer_answers_than_the_sdk_from_a_flaky_server(servers, meshd):
    mesh = by_both(servers, meshd, KINDS, REQUESTS)
    assert sum(mesh.values()) >= 0.95 * REQUESTS * len(KINDS)


def test_nor_from_one_that_refuses_for_a_moment(servers, meshd):
    refusing = [kind for kind in REFUSALS if "two minutes" not in kind]  # which the SDK sleeps out
    mesh = by_both(servers, meshd, refusing, 12, share=None)
    assert mesh == dict.fromkeys(refusing, 12)
