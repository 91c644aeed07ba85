"""A name server that does not answer: those whose names are known are served, and the others when it is back."""

from __future__ import annotations

import threading
import time

import modelmesh

DEAD = 12  # more than any pool of threads that a loop has
NAME_SERVER = """
import os, socket, time

known = socket.getaddrinfo


def getaddrinfo(host, *of, **options):
    if str(host).endswith(".test"):
        while os.path.exists(os.environ["NAME_SERVER_IS_DEAD"]):
            time.sleep(0.02)
        host = "127.0.0.1"
    return known(host, *of, **options)


socket.getaddrinfo = getaddrinfo
"""


def test_a_dead_name_server_delays_no_other_lookup(meshd, upstream, short):
    dead = short / "dead"
    dead.touch()
    (short / "patched").mkdir()
    (short / "patched" / "sitecustomize.py").write_text(NAME_SERVER)
    server = upstream([{"reply": "well"}])
    port = server.provider()["base_url"].rpartition(":")[2]

    def provider(host):
        return server.provider() | {"base_url": f"http://{host}:{port}", "connect_timeout": "1s"}

    names = [f"lost-{number}" for number in range(DEAD)]
    hosts = {name: f"{name}.test" for name in names} | {"found": "localhost"}
    daemon = meshd(
        {
            "providers": {name: provider(host) for name, host in hosts.items()},
            "models": {
                f"{name}.m": {"provider": name, "model": "m", "capabilities": ["chat-completion"]} for name in hosts
            },
            "pools": {"both": {"models": ["lost-0.m", "found.m"], "strategy": "priority-selection"}},
            "discovery": {"health": {"enabled": False}, "sync": {"enabled": False}, "local": {"enabled": False}},
        },
        env={"PYTHONPATH": str(short / "patched"), "NAME_SERVER_IS_DEAD": str(dead)},
    )
    answers: dict[str, str] = {}
    late: set[str] = set()

    def ask(name):
        try:
            answers[name] = daemon.say(model=f"{name}.m", timeout=6.0).choices[0].message.content
        except modelmesh.RequestTimeoutError as error:
            answers[name] = str(error)
            late.add(name)
        except modelmesh.MeshError as error:
            answers[name] = str(error)

    daemon.client()
    lost = [threading.Thread(target=ask, args=(name,)) for name in names]
    for thread in lost:
        thread.start()
    try:
        began = time.monotonic()
        for _ in range(5):
            assert daemon.say(model="found.m").choices[0].message.content == "well"
        assert time.monotonic() - began < 4.0, "no lookup waits for another's name"
        assert daemon.say(model="both").mesh.model == "found.m"
        for thread in lost:
            thread.join(40)
        # On a busy machine the deadline may come before the daemon has said what it lacks.
        assert all("name server" in answers[name] or name in late for name in names), answers
    finally:
        dead.unlink()
    began = time.monotonic()
    assert daemon.say(model="lost-3.m").choices[0].message.content == "well"
    assert time.monotonic() - began < 10.0
