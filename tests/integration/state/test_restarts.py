"""What survives a restart in each storage of the state directory, beside the files of apps."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.daemons.stored import PRICE, config, spent
from tests.support.waiting import until


@pytest.mark.parametrize("connector", ["modelmesh.sqlite.v1", "modelmesh.local-file.v1"])
def test_everything_is_there_after_each_restart(meshd: Any, connector: str) -> None:
    daemon = meshd(config(10 * PRICE, connector=connector))
    client = daemon.client()
    for _ in range(3):
        daemon.say(model="chat")
    uploaded = client.files.create(file=("notes.txt", b"what an app keeps"), purpose="user_data")
    daemon.ask("POST", "/mesh/v1/models/deactivate", {"id": "p.chat", "reason": "too slow"})

    def is_there() -> None:
        assert "too slow" in str(daemon.model("p.chat"))
        assert round(spent(daemon), 6) == round(3 * PRICE, 6)
        until(lambda: [row["requests_total"] for row in daemon.ask("GET", "/mesh/v1/stats?since=3600")["data"]] == [3])
        assert daemon.client().files.content(uploaded.id).read() == b"what an app keeps"

    is_there()
    for end in (daemon.stop, daemon.kill, daemon.stop):
        end()
        daemon.start()
        is_there()
