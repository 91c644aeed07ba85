"""What a daemon has loaded when it is ready: nothing that no request has needed yet."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.support.waiting import WAIT

CODE = """
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


def test_formats_that_are_not_spoken_are_not_loaded(tmp_path) -> None:
    ran = [sys.executable, "-c", CODE, str(tmp_path)]
    loaded = set(json.loads(subprocess.run(ran, capture_output=True, check=True, timeout=WAIT).stdout))
    formats = {f"meshd.formats.{name}.format" for name in ("anthropic", "bedrock", "cohere", "gemini", "responses")}
    assert "meshd.formats.openai.format" in loaded
    assert not (formats | {"meshd.formats.bridge"}) & loaded
