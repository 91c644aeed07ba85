"""A receiver of OTLP that hangs, dies, is overloaded, slow and back, and an exporting process that is killed, under
load: no request fails, and whatever was not dropped and counted arrives."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemons.stress.key_load import Load
from tests.support.telemetry.otlp_receiver import Receiver, attributes, exporting
from tests.support.waiting import until

LONG = 120.0  # s


def config(receiver: Receiver, delay: str = "0s") -> dict[str, Any]:
    otlp = {"connector": "opentelemetry.otlp.v1", "endpoint": receiver.url, "timeout": "500ms"}
    found = exporting(otlp, delay=delay)
    found["observability"]["routing"] = "modelmesh.null.v1"
    return found


def sink(daemon: Any) -> dict[str, Any]:
    (found,) = (each for each in daemon.status()["sinks"] if each["sink"] == "opentelemetry.otlp")
    return dict(found)


def exporter(daemon: Any) -> int:
    found = subprocess.run(["pgrep", "-P", str(daemon.process.pid), "-f", "otlp_out"], capture_output=True, check=True)
    return int(found.stdout)


def resident(daemon: Any) -> int:
    """MiB."""
    status = Path(f"/proc/{daemon.process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) // 1024


def logged(*receivers: Receiver) -> set[str]:
    return {
        str(attributes(log)["meshd.request"])
        for each in receivers
        for log in each.logs()
        if log.event_name == "meshd.request"
    }


def traced(*receivers: Receiver) -> set[bytes]:
    """Of traces that have their request, its attempt, and its call if there was one."""
    spans = [span for each in receivers for span in each.spans()]
    return {span.trace_id for span in spans if span.kind == 2} & {span.trace_id for span in spans if span.kind == 1}


@pytest.mark.soak
@pytest.mark.timeout(400)
def test_all_of_it(meshd: Any) -> None:
    first = Receiver()
    daemon = meshd(config(first, "100ms"))
    second: Receiver | None = None

    async def run() -> Load:
        nonlocal second
        async with Load(daemon, width=8, models=["one.chat"]) as load:

            async def troubled(by: str, count: int = 50) -> None:
                await load.more(count)
                await asyncio.to_thread(until, lambda: by in sink(daemon)["error"], LONG, by)

            await load.more(50)
            first.hangs = True
            await troubled("did not answer")
            await asyncio.to_thread(first.close)
            await troubled("Connect")
            second = Receiver(port=first.port)
            second.status, second.retry_after = 503, "1"
            await troubled("503")
            second.status = 429
            await troubled("429")
            second.status, second.slow = 200, 0.3
            await load.more(50)
            await asyncio.to_thread(until, lambda: second is not None and second.received, LONG)
            os.kill(exporter(daemon), signal.SIGKILL)
            await load.more(50)
            second.slow = 0.0
        return load

    load = asyncio.run(run())
    assert second is not None
    assert load.failed == []
    until(lambda: not sink(daemon)["waiting"] and not sink(daemon)["error"], LONG)
    until(lambda: len(logged(first, second)) == load.served)
    assert len(traced(first, second)) == load.served
    assert sink(daemon)["dropped"] == 0
    second.rejects = 1
    daemon.say("hi", "one.chat")
    until(lambda: sink(daemon)["dropped"] and "rejected 1" in sink(daemon)["error"])
    second.rejects = 0
    until(lambda: not sink(daemon)["error"])
    assert daemon.stop() == 0
    second.close()


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_a_queue_that_is_full_drops_what_is_new_and_no_more_memory_is_taken(meshd: Any) -> None:
    receiver = Receiver()
    receiver.status, receiver.retry_after = 503, "1"
    daemon = meshd(config(receiver))

    async def run() -> tuple[Load, list[int]]:
        taken = []
        async with Load(daemon, width=32, models=["one.chat"]) as load:
            for _ in range(2):
                dropped = sink(daemon)["dropped"]
                while sink(daemon)["dropped"] < dropped + 500:
                    await load.more(500)
                taken.append(resident(daemon))
        return load, taken

    load, taken = asyncio.run(run())
    assert load.failed == []
    assert taken[1] < taken[0] + 8, "MiB, while entries were dropped"
    receiver.status, receiver.retry_after = 200, ""
    until(lambda: not sink(daemon)["waiting"], LONG)
    found = len(traced(receiver))
    assert load.served - sink(daemon)["dropped"] <= found < load.served
    assert daemon.stop() == 0
    receiver.close()
