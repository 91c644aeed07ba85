"""`daemon.listen` and `daemon.curve`: what would let others in, or nothing in, is an error that tells what to add."""

from __future__ import annotations

from typing import Any

import pytest

from meshd.config import MeshConfig
from meshd.core.text.z85 import encode_key

KEY, OTHER = encode_key(bytes(range(32))), encode_key(bytes(range(32, 64)))
CURVE = {"secret_key_file": "/etc/meshd/curve.key"}
APPS = {"laptop": {"match": {"curve_key": KEY}}}


def problems(apps: Any = None, **daemon: Any) -> list[str]:
    return [str(problem) for problem in MeshConfig({"daemon": daemon, "apps": apps or {}}).validate()]


@pytest.mark.parametrize(
    "given",
    [
        {"listen": ["tcp://127.0.0.1:7411", "tcp://[::1]:7411", "tcp://localhost:*", "ipc:///run/mesh/team.sock"]},
        {"listen": "tcp://*:7411", "curve": CURVE, "apps": APPS},
        {"listen": "tcp://[::]:0", "curve": {"secret_key": "${secrets:MESH_KEY}"}, "apps": APPS},
        {"listen": "ipc://~/mesh.sock", "curve": CURVE},
        {
            "listen": "tcp://192.0.2.1:7411",
            "curve": {**CURVE, "allowed_clients": [{"app": "laptop", "key": KEY}, {"app": "laptop", "key": OTHER}]},
            "apps": {"laptop": {"match": {"exe": "/usr/bin/mail"}}},
        },
        {"listen": "tcp://*:7411", "curve": CURVE, "apps": {"laptop": {"match": {"curve_key": [KEY, OTHER]}}}},
    ],
)
def test_what_is_valid(given: dict[str, Any]) -> None:
    assert problems(**given) == []


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"listen": ["tcp://0.0.0.0:7411"]}, ["daemon.listen", "other machines", "meshctl curve daemon"]),
        ({"listen": ["tcp://[fe80::1]:7411"]}, ["other machines can reach"]),
        ({"listen": ["tcp://mesh.lan:7411"]}, ["expected an IP address"]),
        ({"listen": ["tcp://127.0.0.1"]}, ["expected tcp://ADDRESS:PORT"]),
        ({"listen": ["tcp://127.0.0.1:70000"]}, ["at most 65535"]),
        ({"listen": ["ipc://mesh.sock"]}, ["expected the full path"]),
        ({"listen": ["pgm://127.0.0.1:7411"]}, ["expected tcp://ADDRESS:PORT"]),
        ({"listen": ["tcp://*:7411"], "curve": CURVE}, ["admits no client"]),
        ({"listen": ["tcp://*:7411"], "apps": APPS, "curve": {**CURVE, "secret_key": KEY}}, ["both given"]),
        ({"apps": APPS}, ["apps.laptop.match.curve_key", "the daemon's own key"]),
        ({"apps": {"laptop": {"match": {"curve_key": "short"}}}, "curve": CURVE}, ["40 characters of Z85"]),
        ({"apps": {"laptop": {"match": {"curve_key": KEY, "uid": 1}}}, "curve": CURVE}, ["stands for itself"]),
        ({"curve": {**CURVE, "allowed_clients": [{"app": "laptpo", "key": KEY}]}}, ["there is no app 'laptpo'"]),
        ({"curve": {**CURVE, "allowed_clients": [{"app": "default", "key": KEY}]}}, ["there is no app 'default'"]),
        (
            {"apps": {**APPS, "other": {"match": {"curve_key": KEY}}}, "curve": CURVE},
            ["also that of laptop"],
        ),
    ],
)
def test_what_is_not(given: dict[str, Any], told: list[str]) -> None:
    (problem,) = problems(**given)
    assert all(part in problem for part in told), problem


def test_a_secret_key_is_not_shown() -> None:
    config = MeshConfig({"daemon": {"listen": ["tcp://*:7411"], "curve": {"secret_key": OTHER}}, "apps": APPS})
    assert OTHER not in str(config.redacted())
    assert KEY in str(config.redacted())
