"""Pytest's fixture `mesh`: a real daemon on a temporary socket, with scripted providers.

    def test_answers(mesh):
        reply = mesh.client().chat.completions.create(model="chat-completion", messages=[…])

    @pytest.mark.mesh_config({"providers": …, "models": …})   # or @pytest.mark.parametrize("mesh", […], indirect=True)
    def test_other(mesh): …

Must never: import anything but pytest before the fixture is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from modelmesh.testing._daemon import MeshProcess


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "mesh_config(config): the configuration of the fixture `mesh`, as a dict")


@pytest.fixture
def mesh(request: pytest.FixtureRequest, tmp_path: object) -> Iterator[MeshProcess]:
    """A running daemon: `.client()`, `.async_client()`, `.socket`, `.process`, `.log()`, `.stop()`."""
    from modelmesh.testing._daemon import SCRIPTED, MeshProcess

    marker = request.node.get_closest_marker("mesh_config")
    config = getattr(request, "param", None) or (marker.args[0] if marker is not None else SCRIPTED)
    daemon = MeshProcess(str(tmp_path), config)
    try:
        daemon.start()
        yield daemon
    finally:
        daemon.stop()
