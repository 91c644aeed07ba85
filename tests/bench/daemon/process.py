"""The daemon as a process: memory, start, reload under load."""

from __future__ import annotations

import json
import os
import statistics
import threading
import time

from tests.bench.tools import places
from tests.bench.tools.figures import Figure, percentile
from tests.bench.traffic.requests import IN_FLIGHT, MESSAGES

EDITS = 50


def memory_and_start() -> list[Figure]:
    """Idle, after the daemon has answered once; and from fork to READY=1."""
    import modelmesh

    ready, resident = [], []
    with places.nginx() as upstream:
        for number in range(6):
            with places.daemon(places.configuration({"chat": upstream.url})) as daemon:
                if not number:  # which writes the bytecode
                    continue
                ready.append(daemon.started_in)
                with modelmesh.OpenAIClient(daemon.socket) as client:
                    client.chat.completions.create(model="chat", messages=MESSAGES)
                resident.append(_resident(daemon.pid))
    return [
        Figure("idle memory", max(resident) / 1e6, 65, "MB", detail="resident, after one request; worst of 5"),
        Figure("start to READY", statistics.median(ready), 0.5, "s", detail=f"median of 5, worst {max(ready):.2f} s"),
    ]


def _resident(pid: int) -> int:
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def reload_under_load() -> list[Figure]:
    """The file is edited 50 times while 64 requests are in flight all the time."""
    import modelmesh

    with places.nginx() as upstream, places.daemon(places.configuration({"chat": upstream.url})) as daemon:
        stop = threading.Event()
        answered, failed = [0] * IN_FLIGHT, [0] * IN_FLIGHT
        client = modelmesh.OpenAIClient(daemon.socket, max_retries=0)

        def load(number: int) -> None:
            while not stop.is_set():
                try:
                    client.chat.completions.create(model="chat", messages=MESSAGES)
                    answered[number] += 1
                except modelmesh.MeshError:
                    failed[number] += 1

        threads = [threading.Thread(target=load, args=(number,)) for number in range(IN_FLIGHT)]
        for thread in threads:
            thread.start()
        config = json.loads(daemon.config.read_text())
        with modelmesh.OpenAIClient(daemon.socket) as control:
            taken = [_edit(control, daemon, config, number) for number in range(EDITS)]
        stop.set()
        for thread in threads:
            thread.join()
        client.close()
    idle = _reload_alone()
    detail = f"p50 {statistics.median(taken) * 1e3:.0f} ms, worst {max(taken) * 1e3:.0f} ms under load"
    return [
        Figure("reload, 64 in flight on the same two cores", percentile(taken, 0.5) * 1e3, 50, "ms", detail=detail),
        Figure("reload, idle", idle * 1e3, 50, "ms", detail="median of 10"),
        Figure("requests failed over 50 edits", sum(failed), 0, "", detail=f"of {sum(answered)} requests"),
    ]


def _edit(control: object, daemon: places.Daemon, config: dict[str, object], number: int) -> float:
    """Change the file as an editor does, wait until the daemon has seen it by itself; how long the reload took."""
    before = _last(control)
    config["pools"]["chat"]["retry"] = {"max_attempts": 1 + number % 3}
    draft = daemon.config.with_suffix(".new")
    draft.write_text(json.dumps(config))
    draft.replace(daemon.config)
    places.wait_for(lambda: _last(control)["at"] != before["at"], "the reload")
    report = _last(control)
    if not report["ok"]:
        raise RuntimeError(f"refused: {report['problems']}")
    return float(report["duration"])


def _reload_alone() -> float:
    import modelmesh

    with places.nginx() as upstream, places.daemon(places.configuration({"chat": upstream.url})) as daemon:
        config = json.loads(daemon.config.read_text())
        with modelmesh.OpenAIClient(daemon.socket) as control:
            return statistics.median(_edit(control, daemon, config, number) for number in range(10))


def _last(control: object) -> dict[str, object]:
    time.sleep(0.005)
    status: dict[str, dict[str, object]] = control.mesh.request("GET", "/mesh/v1/status").to_dict()
    return status["last_reload"]
