"""What a daemon has loaded when it is ready, and after a first answer: nothing that no request has needed yet."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from tests.support.waiting import WAIT

EMBEDDED = """
import json, sys
import modelmesh
config = {
    "providers": {"p": {"connector": "modelmesh.scripted.v1", "script": [{"reply": "hi"}]}},
    "models": {"p.m": {"provider": "p", "capabilities": ["chat-completion"]}},
    "pools": {"chat": {"models": ["p.m"]}},
    "storage": {"connector": "modelmesh.memory.v1"},
    "daemon": {"state_dir": sys.argv[1]},
}
with modelmesh.create("chat", config=config) as client:
    client.chat.completions.create(messages=[{"role": "user", "content": "hello"}])
    print(json.dumps(sorted(sys.modules)))
"""

# A thread of the daemon itself prints what is loaded when it says READY=1, and ends it.
DAEMON = """
import json, os, signal, socket, sys, threading
notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
notify.bind(os.environ["NOTIFY_SOCKET"])
def when_ready():
    while b"READY=1" not in notify.recv(4096):
        pass
    print(json.dumps(sorted(sys.modules)), flush=True)
    os.kill(os.getpid(), signal.SIGTERM)
threading.Thread(target=when_ready, daemon=True).start()
from meshd.host.process.start import daemon
daemon()
"""
CONFIG = {
    "providers": {
        "p": {"connector": "openai-compatible.v1", "base_url": "http://127.0.0.1:9/v1", "auth": {"method": "none"}}
    },
    "models": {"p.m": {"provider": "p", "model": "m", "capabilities": ["chat-completion"]}},
    "pools": {"chat": {"models": ["p.m"]}},
    "discovery": {"local": {"enabled": False}, "sync": {"enabled": False}},
}
OF_PYTHON = {
    "argparse",
    "bz2",
    "calendar",
    "csv",
    "email",
    "http.client",
    "importlib.metadata",
    "importlib.resources",
}
OF_PYTHON |= {"lzma", "shutil", "tempfile", "urllib.request", "xml", "zipfile"}
OF_OTHERS = {"aiohttp", "anthropic", "botocore", "brotli", "cronsim", "cryptography", "google.auth", "httpx", "openai"}
OF_OTHERS |= {"pydantic.networks", "requests", "rich", "textual", "tomlkit", "typer", "zmq"}
OURS = {f"meshd.formats.{name}.format" for name in ("anthropic", "bedrock", "cohere", "gemini", "responses")}
OURS |= {f"meshd.config.schema.connectors.{name}_settings" for name in ("secret", "sink", "storage")}
OURS |= {
    "meshd.config.schema.connectors.settings",
    "meshd.cli",
    "meshd.connectors.providers.embedded.process",
    "meshd.connectors.providers.managed.provider",
    "meshd.formats.batches.protocol",
    "meshd.formats.bridge",
    "meshd.formats.errors.response_failures",
    "meshd.formats.ollama.answer",
    "meshd.gateway.batches.batch_run",
    "meshd.gateway.batches.passed.prepared",
    "meshd.gateway.control.apis.batches",
    "meshd.gateway.control.apis.files",
    "meshd.gateway.control.apis.models",
    "meshd.gateway.control.apis.ollama",
    "meshd.gateway.control.apis.otlp",
    "meshd.gateway.control.explain",
    "meshd.gateway.control.passthrough.handler",
    "meshd.manual",
    "meshd.routing.select.expression",
    "meshd.services.seam",
}


def test_a_ready_daemon_has_loaded_nothing_that_only_some_need(tmp_path) -> None:
    file = tmp_path / "mesh.json"
    file.write_text(json.dumps(CONFIG))
    env = {**os.environ, "NOTIFY_SOCKET": str(tmp_path / "n"), "XDG_STATE_HOME": str(tmp_path / "state")}
    ran = [sys.executable, "-P", "-c", DAEMON, "--config", str(file), "--socket", str(tmp_path / "s")]
    done = subprocess.run(ran, capture_output=True, timeout=WAIT, env=env)
    loaded = set(json.loads(done.stdout or "[]"))
    assert "meshd.formats.openai.format" in loaded, done.stderr.decode()
    assert not (OF_PYTHON | OF_OTHERS | OURS) & loaded


def test_formats_that_are_not_spoken_are_not_loaded_by_an_answer(tmp_path) -> None:
    ran = [sys.executable, "-c", EMBEDDED, str(tmp_path)]
    loaded = set(json.loads(subprocess.run(ran, capture_output=True, check=True, timeout=WAIT).stdout))
    formats = {f"meshd.formats.{name}.format" for name in ("anthropic", "bedrock", "cohere", "gemini", "responses")}
    assert "meshd.formats.openai.format" in loaded
    assert not (formats | {"meshd.formats.bridge"}) & loaded
