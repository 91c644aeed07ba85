"""TensorZero's gateway embedded in a process, beside the mesh: one round trip after the other, in one run."""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
from collections.abc import Iterator
from pathlib import Path

import modelmesh
from tests.bench.tools import places
from tests.bench.tools.figures import Figure, p50
from tests.bench.traffic.requests import MESSAGES
from tests.conformance import install

_CONFIG = """
[gateway]
observability.enabled = false
[models.m1]
routing = ["nginx"]
[models.m1.providers.nginx]
type = "openai"
model_name = "m1"
api_base = "{url}/"
api_key_location = "none"
"""
_PEER = """
import json, sys, time, statistics
from tensorzero import TensorZeroGateway
messages = json.loads(sys.argv[2])
with TensorZeroGateway.build_embedded(config_file=sys.argv[1], clickhouse_url=None) as gateway:
    for line in sys.stdin:
        taken = []
        for _ in range(int(line)):
            began = time.perf_counter()
            gateway.inference(model_name="m1", input={"messages": messages})
            taken.append(time.perf_counter() - began)
        print(statistics.median(taken), flush=True)
"""
_CALLS = 500


def round_trip() -> list[Figure]:
    """Its median and ours, in alternating blocks."""
    if why := install.missing("tensorzero"):
        print(f"TensorZero is left out: {why}")
        return []
    with (
        places.nginx() as upstream,
        places.daemon(places.configuration({"chat": upstream.url})) as daemon,
        _embedded(upstream.url) as peer,
    ):
        mesh = modelmesh.OpenAIClient(daemon.socket)
        through, theirs = [], []
        _median(peer, 50)
        for _ in range(5):
            through.append(p50(lambda: mesh.chat.completions.create(model="chat", messages=MESSAGES), _CALLS, 50))
            theirs.append(_median(peer, _CALLS))
        mesh.close()
    a, b = statistics.median(through), statistics.median(theirs)
    detail = f"{a * 1e3:.3f} ms through the mesh, {b * 1e3:.3f} ms by TensorZero, which shares nothing with other apps"
    return [Figure("round trip p50 / TensorZero embedded", a / b, 1.5, detail=detail)]


@contextlib.contextmanager
def _embedded(url: str) -> Iterator[subprocess.Popen[str]]:
    python = install.directory("tensorzero") / "bin" / "python"
    with places.directory() as place:
        config = Path(place) / "tensorzero.toml"
        config.write_text(_CONFIG.format(url=url))
        command = [str(python), "-c", _PEER, str(config), json.dumps(MESSAGES)]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as peer:
            try:
                yield peer
            finally:
                assert peer.stdin is not None
                peer.stdin.close()
                peer.wait(20)


def _median(peer: subprocess.Popen[str], calls: int) -> float:
    """Seconds. Raises RuntimeError if it has ended."""
    assert peer.stdin is not None
    assert peer.stdout is not None
    peer.stdin.write(f"{calls}\n")
    peer.stdin.flush()
    while line := peer.stdout.readline():
        with contextlib.suppress(ValueError):  # its log lines
            return float(line)
    raise RuntimeError("TensorZero ended; it may not like its configuration")
