"""A callback that cannot be called never becomes part of a running configuration; one that can is loaded when it is
new, and not again with each reload."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.integration.gateway.conftest import provider
from tests.support.processes import meshctl

MODULE = """
import pathlib

HERE = pathlib.Path(__file__).parent
with (HERE / "loads").open("a") as loads:
    loads.write("x")

def keep(entry):
    pass
"""


def test_a_function_is_tried_when_it_is_new(meshd: Any, short: Path) -> None:
    (short / "house_pager.py").write_text(MODULE)

    def config(function: str, **more: Any) -> dict[str, Any]:
        sink = {"connector": "modelmesh.callback.v1", "function": function}
        return {
            "providers": {"echo": provider({"echo": True})},
            "observability": {"tracing": {}, "routing": sink},
            **more,
        }

    daemon = meshd(config("house_pager:keep"), env={"PYTHONPATH": str(short)})
    before = len((short / "loads").read_text())
    daemon.write(config("house_pager:keep", aliases={"talk": "text-generation"}))
    assert meshctl.run("--socket", str(daemon.socket), "reload").returncode == 0
    assert len((short / "loads").read_text()) <= before + 1  # by the sink's own process, at its first entry
    daemon.write(config("house_pager:gone"))
    refused = meshctl.run("--socket", str(daemon.socket), "reload")
    assert refused.returncode == 1
    assert "modelmesh.callback.v1 cannot call house_pager:gone" in refused.stderr
    kept = json.loads(meshctl.run("--socket", str(daemon.socket), "config", "show", "--json").stdout)
    assert "house_pager:keep" in json.dumps(kept)
