"""A process of another user, program or group, told apart by the kernel: it gives up being root, then connects."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import subprocess
import sys
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from tests.support.daemons.pool_rule_cases import MESSAGES

WAIT = 20.0
PYTHON = Path(os.path.realpath(sys.executable))

CHILD = """
import itertools, json, os, sys, threading
from modelmesh import MeshError, OpenAIClient, openai_client
from modelmesh.testing import MeshProcess  # all there is, while it can be read
os.setgroups([int(group) for group in sys.argv[3:]]); os.setgid(int(sys.argv[2])); os.setuid(int(sys.argv[2]))

def answer(client, number, method, path, body, headers):
    try:
        if path == "/v1/chat/completions":
            told = client.chat.completions.create(**body, extra_headers=headers)
            found = {"mesh": told.mesh.to_dict()}
        else:
            found = client.mesh.request(method, path, body).to_dict()
    except MeshError as error:
        names = ("status_code", "code", "message", "allowed", "app", "scope", "name", "spent", "limit")
        found = {"error": {name: getattr(error, name, None) for name in names}}
    print(json.dumps([number, found], default=str), flush=True)

print("null", flush=True)
first = sys.stdin.readline()
with OpenAIClient(sys.argv[1], timeout=20, max_retries=0) as client:
    threads = []
    for line in itertools.chain([first], sys.stdin):
        threads.append(threading.Thread(target=answer, args=(client, *json.loads(line))))
        threads[-1].start()
    for thread in threads:
        thread.join()
"""


class App:
    """A process of one user that runs one program. It connects when it is asked for something the first time."""

    def __init__(self, socket: Path, uid: int, program: Path = PYTHON, groups: tuple[int, ...] = ()) -> None:
        environment = {"PATH": os.environ["PATH"], "HOME": "/", "PYTHONHOME": sys.base_prefix,
                       "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}  # fmt: skip
        self.process = subprocess.Popen(
            [str(program), "-c", CHILD, str(socket), str(uid), *map(str, groups)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._send, self._lines = self.process.stdin, self.process.stdout
        assert json.loads(self._lines.readline()) is None
        self._numbers = itertools.count()
        self._answers: dict[int, Future[Any]] = {}
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def begin(self, path: str, body: Any = None, method: str = "GET", **headers: str) -> Future[Any]:
        number = next(self._numbers)
        answer = self._answers[number] = Future()
        self._send.write(json.dumps([number, method, path, body, headers]) + "\n")
        self._send.flush()
        return answer

    def chat(self, pool: str, **body: Any) -> Future[Any]:
        return self.begin("/v1/chat/completions", {"model": pool, "messages": MESSAGES, **body}, "POST")

    def say(self, pool: str, **body: Any) -> Any:
        return self.chat(pool, **body).result(WAIT)

    def ask(self, path: str) -> Any:
        return self.begin(f"/mesh/v1/{path}").result(WAIT)

    def tell(self, path: str, **body: Any) -> Any:
        return self.begin(f"/mesh/v1/{path}", body, "POST").result(WAIT)

    @property
    def you(self) -> Any:
        return self.ask("describe")["you"]

    def _read(self) -> None:
        for line in self._lines:
            number, found = json.loads(line)
            self._answers[number].set_result(found)

    def close(self) -> None:
        self.process.kill()
        self.process.wait(WAIT)
        self._reader.join(WAIT)
        for pipe in (self._send, self._lines):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
