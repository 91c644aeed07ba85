"""A remark on paths that depend on where the daemon is started."""

from __future__ import annotations

from typing import Any

import pytest

from meshd.config import MeshConfig
from meshd.config.advice import of_relative_paths


@pytest.mark.parametrize(
    ("written", "named"),
    [
        ({"storage": {"path": "state.db"}}, ["storage.path"]),
        ({"storage": {"encryption": {"key_file": "keys/state"}}}, ["storage.encryption.key_file"]),
        ({"daemon": {"state_dir": "./state"}}, ["daemon.state_dir"]),
        ({"proxy": {"tls": {"cert": "cert.pem"}}}, ["proxy.tls.cert"]),
        ({"observability": {"logging": [{"connector": "modelmesh.file.v1", "path": "l"}]}},
         ["observability.logging[0].path"]),
        ({"storage": {"path": "/srv/state.db"}}, []),
        ({"storage": {"path": "~/state.db"}}, []),
        ({"storage": {"path": "${env:PLACE}/state.db"}}, []),
        ({"secrets": {"store": "modelmesh.dotenv.v1", "path": ".env"}}, []),
    ],
)  # fmt: skip
def test_paths_that_depend_on_where_the_daemon_is_started(written: dict[str, Any], named: list[str]) -> None:
    assert [remark.split()[0] for remark in of_relative_paths(MeshConfig(written))] == named
