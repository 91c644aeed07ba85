"""Actors that die when a test says so, and apps that continue to send requests.

`poisonous(monkeypatch)` before an embedded mesh is made, `crashing(…)` for a daemon.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import modelmesh
from meshd import messages

INPUT, OUTPUT = 1_000, 2_000
"""10⁻⁹ USD a token."""
PRICING = {"input_per_1m": INPUT / 1_000, "output_per_1m": OUTPUT / 1_000}


class Poison(messages.Message, frozen=True):
    """The actor that handles it dies."""


def restarts_of(mesh: Any, name: str) -> int:
    """How often that actor was started again."""
    return int(_life(mesh, name)["restarts"])


def _life(mesh: Any, name: str) -> dict[str, Any]:
    """What the supervisor knows of that actor."""
    actors: list[dict[str, Any]] = mesh.ask("supervisor", messages.Supervision())["actors"]
    return next(actor for actor in actors if actor["name"] == name)


def poisonous(monkeypatch: Any, *, at_once: bool = True) -> None:
    """Every actor raises at Poison. at_once: it is started again without delay, however often it dies."""
    from meshd.actors.base.actor import MeshActor

    def handle(self: MeshActor, message: Any) -> Any:
        if isinstance(message, Poison):
            raise RuntimeError("poisoned")
        return original(self, message)

    original = MeshActor.on_receive
    monkeypatch.setattr(MeshActor, "on_receive", handle)
    if at_once:
        monkeypatch.setattr("meshd.actors.supervisor.LONGEST_DELAY", 0.02)


# Imported by Python itself at its start.
_CRASHER = """
import os, sys, threading, time

def crash():
    while True:
        time.sleep(0.02)
        if os.path.exists({path!r}) and "meshd.messages" in sys.modules:
            import pykka
            from meshd import messages
            found = pykka.ActorRegistry.get_by_class_name({actor!r})
            if found:
                os.unlink({path!r})
                found[0].tell({message})

if "meshd" in sys.orig_argv:
    threading.Thread(target=crash, daemon=True).start()
"""


def crashing(directory: Path, actor: str, message: str) -> dict[str, str]:
    """The environment of a daemon whose `actor` (a class name) is told `message`, which it cannot bear, as soon as a
    file `crash` is in the directory; the file is removed then."""
    site = directory / "site"
    site.mkdir()
    crasher = _CRASHER.format(path=str(directory / "crash"), actor=actor, message=message)
    (site / "sitecustomize.py").write_text(crasher)
    return {"PYTHONPATH": str(site)}


def kill(mesh: Any, name: str, eventually: Callable[..., Any]) -> None:
    """And return when its next life has taken over."""
    before = restarts_of(mesh, name)

    def is_back() -> bool:
        now = _life(mesh, name)
        return bool(now["alive"] and now["restarts"] > before)

    mesh.tell(name, Poison())
    eventually(is_back, what=f"{name} is started again")
    mesh.ask(name, messages.Beat())  # what came before has been handled


@dataclass
class Load:
    """What apps were told. answers: by kind and model; errors: by kind, of those that had none."""

    answers: Counter[tuple[str, str]] = field(default_factory=Counter)
    errors: list[tuple[str, Exception]] = field(default_factory=list)

    @property
    def total(self) -> int:
        return sum(self.answers.values()) + len(self.errors)


Ask = Callable[[Any, int], str]
"""(client, number) → the model that answered. Raises as the client does."""


def unary(client: Any, number: int) -> str:
    answer = client.chat.completions.create(model="chat", messages=[{"role": "user", "content": f"say {number}"}])
    assert answer.choices[0].message.content == "one two three"
    return str(answer.mesh.model)


def stream(client: Any, number: int) -> str:
    chunks = list(
        client.chat.completions.create(
            model="chat", messages=[{"role": "user", "content": f"stream {number}"}], stream=True
        )
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == "one two three", text
    return str(chunks[-1].mesh.model)


@contextmanager
def under_load(connect: Callable[[], Any], kinds: dict[str, tuple[Ask, int]]) -> Iterator[Load]:
    """Apps that ask one thing after another until the end of the block. kinds: name → (what they do, how many)."""
    load, done, lock = Load(), threading.Event(), threading.Lock()

    def app(kind: str, ask: Ask) -> None:
        number = 0
        with connect() as client:
            while not done.is_set():
                number += 1
                try:
                    model = ask(client, number)
                except (modelmesh.MeshError, AssertionError) as error:
                    with lock:
                        load.errors.append((kind, error))
                else:
                    with lock:
                        load.answers[kind, model] += 1

    apps = [
        threading.Thread(target=app, args=(kind, ask), name=f"app-{kind}-{number}")
        for kind, (ask, count) in kinds.items()
        for number in range(count)
    ]
    for each in apps:
        each.start()
    try:
        yield load
    finally:
        done.set()
        until = time.monotonic() + 40
        for each in apps:
            each.join(max(until - time.monotonic(), 0.0))
        assert not any(each.is_alive() for each in apps), "an app waits for ever"


def price(prompt_tokens: int, completion_tokens: int) -> int:
    return prompt_tokens * INPUT + completion_tokens * OUTPUT
