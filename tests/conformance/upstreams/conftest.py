"""Each server with a daemon whose only provider it is, and the OpenAI SDK on both ways: direct, and by the mesh."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.conformance.upstreams.servers import KINDS, SCRIPT, Kind, Server, missing

openai = pytest.importorskip("openai")


@dataclass
class Stage:
    kind: Kind
    server: Server
    daemon: Any
    direct: Any
    mesh: Any


def configuration(server: Server, **more: Any) -> dict[str, Any]:
    """Its models as a person would write them down."""
    kind = server.kind
    chat = {model for model in (kind.chat, kind.tools, kind.broken) if model}
    can = {"capabilities": ["chat-completion"]}
    models = {f"sut.{model}": {"provider": "sut", "model": model, **can} for model in chat}
    if kind.embeddings:
        models[f"sut.{kind.embeddings}"] = {
            "provider": "sut",
            "model": kind.embeddings,
            "capabilities": ["text-embeddings"],
        }
    return {"providers": {"sut": server.provider()}, "models": models, **more}


@pytest.fixture(scope="module", params=list(KINDS))
def kind(request: pytest.FixtureRequest) -> Kind:
    if reason := missing(request.param):
        pytest.skip(reason)
    return KINDS[request.param]


@pytest.fixture(scope="module")
def make_server(module_short: Any, module_upstream: Any) -> Iterator[Any]:
    made: list[Server] = []

    def make(kind: Kind) -> Server:
        behind = module_upstream(SCRIPT).url if kind.gateway else ""
        made.append(Server(kind, module_short / f"{kind.name}{len(made)}", behind))
        return made[-1].start()

    yield make
    for server in made:
        server.kill()


@pytest.fixture(scope="module")
def stage(kind: Kind, make_server: Any, module_meshd: Any) -> Iterator[Stage]:
    import modelmesh

    server = make_server(kind)
    daemon = module_meshd(configuration(server))
    with (
        openai.OpenAI(
            base_url=server.base_url, api_key="none", default_headers=server.headers, max_retries=0, timeout=30.0
        ) as direct,
        modelmesh.openai_client(socket=str(daemon.socket), max_retries=0, timeout=30.0) as mesh,
    ):
        yield Stage(kind, server, daemon, direct, mesh)
