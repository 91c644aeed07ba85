"""Other gateways beside the mesh, in one run: `make bench-peers`. Those that are not installed are left out."""

from __future__ import annotations

import contextlib
import json
import statistics
from collections.abc import Iterator, Mapping
from pathlib import Path

import uvloop

from tests.bench.tools import places
from tests.bench.tools.figures import Figure
from tests.bench.traffic.over_http import listening, throughput
from tests.conformance import install
from tests.support.network.ports import free_port

_LITELLM = {"litellm_settings": {"telemetry": False}}


def over_http() -> list[Figure]:
    """Requests a second over HTTP with 64 in flight, of the mesh and of each peer in turns."""
    port = free_port()
    with places.nginx() as upstream, places.daemon(listening(upstream.url, port)), contextlib.ExitStack() as stack:
        rivals = {
            name: stack.enter_context(start(upstream.url))
            for name, start in {"portkey": _portkey, "litellm": _litellm}.items()
            if _is_here(name)
        }
        ours: list[float] = []
        theirs: dict[str, list[float]] = {name: [] for name in rivals}
        for _ in range(3):
            ours.append(uvloop.run(throughput(port, 6_400)))
            for name, (place, headers) in rivals.items():
                theirs[name].append(uvloop.run(throughput(place, 640, headers)))
    least = {"portkey": ("Portkey's gateway", 5), "litellm": ("LiteLLM's proxy, one worker", 25)}
    mesh = statistics.median(ours)
    found = []
    for name, rates in theirs.items():
        rival, target = least[name]
        rate = statistics.median(rates)
        detail = f"{mesh:,.0f} requests/s through one daemon, {rate:,.0f}/s through {rival}"
        found.append(Figure(f"HTTP: throughput / {rival}", mesh / rate, target, at_least=True, detail=detail))
    return found


def _is_here(name: str) -> bool:
    why = install.missing(name)
    if why:
        print(f"{name} is left out: {why}")
    return not why


@contextlib.contextmanager
def _portkey(url: str) -> Iterator[tuple[int, Mapping[str, str]]]:
    """(port, headers that its requests need)."""
    port = free_port()
    start = install.directory("portkey") / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
    trusted = {"TRUSTED_CUSTOM_HOSTS": "127.0.0.1,localhost"}
    with places.process("node", str(start), f"--port={port}", "--headless", env=trusted):
        places.wait_for(lambda: places.answers(port), "Portkey's gateway", 60)
        yield port, {"x-portkey-provider": "openai", "x-portkey-custom-host": url, "authorization": "Bearer none"}


@contextlib.contextmanager
def _litellm(url: str) -> Iterator[tuple[int, Mapping[str, str]]]:
    port = free_port()
    where = {"model": "openai/m1", "api_base": url, "api_key": "none", "max_retries": 0}
    with places.directory() as place:
        config = Path(place) / "litellm.yaml"
        config.write_text(json.dumps({**_LITELLM, "model_list": [{"model_name": "chat", "litellm_params": where}]}))
        command = (str(install.directory("litellm") / "bin" / "litellm"), "--config", str(config), "--port", str(port))
        with places.process(*command, "--num_workers", "1", env={"LITELLM_LOCAL_MODEL_COST_MAP": "True"}):
            places.wait_for(lambda: places.answers(port), "LiteLLM's proxy", 120)
            yield port, {}
