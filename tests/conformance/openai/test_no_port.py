"""Over the mesh's socket neither side opens a port."""

from __future__ import annotations

import pytest

from tests.conformance.openai.conftest import CONFIG
from tests.support.client.doors import Door


def test_no_port_is_open(meshd):
    psutil = pytest.importorskip("psutil")
    daemon = meshd(CONFIG)
    before = set(psutil.Process().net_connections(kind="inet"))  # of other tests in this process
    with Door("mesh", daemon).openai() as client:
        client.chat.completions.create(model="echo", messages=[{"role": "user", "content": "hello"}])
        assert psutil.Process(daemon.process.pid).net_connections(kind="inet") == []
        assert {each.raddr for each in psutil.Process().net_connections(kind="inet")} <= {each.raddr for each in before}
