"""Where the client finds the keys of a `tcp://` address, and what it says if one is missing."""

from __future__ import annotations

from pathlib import Path

import pytest
import zmq

from modelmesh import ConfigurationError, discovery
from modelmesh.curve import CurveAddress

SERVER = zmq.curve_keypair()[0].decode()
PUBLIC, SECRET = (key.decode() for key in zmq.curve_keypair())
FAR = "tcp://192.0.2.1:7411"


@pytest.fixture(autouse=True)
def profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for name in ("SOCKET", "CURVE_SERVER_KEY", "CURVE_SECRET_KEY", "CURVE_PUBLIC_KEY"):
        monkeypatch.delenv(f"MESH_{name}", raising=False)
    path = tmp_path / "meshd" / "client.toml"
    path.parent.mkdir()
    return path


def test_a_profile_has_the_address_and_the_keys_and_is_private(profile: Path) -> None:
    profile.write_text(f"socket = '{FAR}'\ncurve_server_key = '{SERVER}'\ncurve_secret_key = '{SECRET}'\n")
    profile.chmod(0o644)
    with pytest.raises(ConfigurationError, match="others can read"):
        discovery.find()
    profile.chmod(0o600)
    found = discovery.find()
    assert isinstance(found, CurveAddress)
    assert (found, found.public) == (
        CurveAddress(FAR, SERVER.encode(), PUBLIC.encode(), SECRET.encode()),
        PUBLIC.encode(),
    )


def test_arguments_come_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MESH_CURVE_SERVER_KEY", PUBLIC)
    monkeypatch.setenv("MESH_CURVE_SECRET_KEY", SECRET)
    found = discovery.find(FAR, {"curve_server_key": SERVER})
    assert isinstance(found, CurveAddress)
    assert found.server == SERVER.encode()


def test_clients_with_other_keys_share_no_connection() -> None:
    _, other = zmq.curve_keypair()
    one = discovery.find(FAR, {"curve_server_key": SERVER, "curve_secret_key": SECRET})
    same = discovery.find(FAR, {"curve_server_key": SERVER, "curve_secret_key": SECRET})
    another = discovery.find(FAR, {"curve_server_key": SERVER, "curve_secret_key": other.decode()})
    assert len({one, same, another, FAR}) == 3
    assert str(one) == FAR


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "tcp://localhost:1", "tcp://[::1]:1"])
def test_on_loopback_no_key_is_needed(address: str) -> None:
    assert type(discovery.find(address)) is str


@pytest.mark.parametrize("address", [FAR, "tcp://127.example.org:1", "tcp://localhost.example.org:1", "tcp://[::2]:1"])
def test_nothing_is_sent_to_another_machine_in_plain_text(address: str) -> None:
    with pytest.raises(ConfigurationError, match="needs the daemon's public key"):
        discovery.find(address)
