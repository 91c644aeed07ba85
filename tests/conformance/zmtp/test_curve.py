"""CURVE as ZeroMQ libraries that others wrote have it, with a real daemon."""

from __future__ import annotations

import json
from typing import Any

import pytest

pytest.importorskip("nacl", reason="needs modelmesh[curve]")

from modelmesh import protocol as wire
from tests.conformance.zmtp.conftest import CONFIG, MIB
from tests.conformance.zmtp.relayed import Relayed
from tests.support.apps.curve.curve_peer import pair
from tests.support.apps.line import Line

SERVER, SERVER_SECRET = pair()
CLIENT, CLIENT_SECRET = pair()


@pytest.fixture(scope="module")
def address(module_meshd: Any) -> str:
    daemon = {"listen": ["tcp://127.0.0.1:*"], "curve": {"secret_key": SERVER_SECRET}}
    apps = {"laptop": {"match": {"curve_key": CLIENT}, "max_message_size": "4MiB"}}
    made = module_meshd({**CONFIG, "daemon": daemon, "apps": apps})
    found: str = made.status()["listen"]["addresses"][0]
    return found


@pytest.mark.parametrize("kind", ["DEALER", "REQ"])
def test_a_client_asks_and_is_answered(library: str, address: str, kind: str) -> None:
    line = Line("", socket=Relayed(library, address, kind, 0, (SERVER, CLIENT, CLIENT_SECRET)))
    try:
        assert line.welcome.version == wire.VERSION
        for text in ("hi", "x" * (2 * MIB)):
            line.chat(text, model="echo")
            answer = json.loads(line.receive(wire.RESPONSE).body)
            assert answer["choices"][0]["message"]["content"].endswith(text)
        if kind == "DEALER":
            line.chat(model="counting", stream=True, credit=1000)
            received = 0
            while line.receive().kind == wire.CHUNK:
                received += 1
            assert received >= 200
    finally:
        line.close()
