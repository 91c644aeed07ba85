"""An embedded mesh from a file, which leaves nothing behind."""

from __future__ import annotations

import json
import threading

import pykka
import pytest

from meshd.mesh import ModelMesh


@pytest.fixture
def nothing_left(eventually):
    """No thread, actor or descriptor more than before, at the end of the test."""
    import uvloop
    import zmq

    # What libzmq and libuv keep for the process is there from now on.
    zmq.Context.instance().socket(zmq.PAIR).close()
    uvloop.new_event_loop().close()
    before = threads()

    yield

    eventually(lambda: threads() <= before, what=f"threads end: {threads() - before}")
    assert [ref for ref in pykka.ActorRegistry.get_all() if ref.is_alive()] == []


def threads():
    return {thread.name for thread in threading.enumerate() if thread.name.startswith("meshd")}


@pytest.fixture
def file(short, two):
    path = short / "mesh.json"
    path.write_text(json.dumps({**two(), "daemon": {"watch_debounce": "20ms"}}))
    return path


@pytest.fixture
def mesh(file, nothing_left):
    with ModelMesh.from_yaml(file) as mesh:
        yield mesh
