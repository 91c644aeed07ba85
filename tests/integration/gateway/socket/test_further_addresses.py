"""`daemon.listen` and `daemon.curve` with a real daemon: libzmq's own CURVE, other keys, other users, reloads."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

pytest.importorskip("nacl", reason="needs modelmesh[curve]")

from meshd.core.text.z85 import decode_key
from modelmesh import AuthenticationError, ConfigurationError, DaemonUnavailableError, MeshError, OpenAIClient
from tests.integration.gateway.conftest import CONFIG
from tests.support.apps.curve.curve_peer import GREETING, CurvePeer, on_the_wire, pair
from tests.support.apps.line import Line
from tests.support.apps.raw_peer import RawPeer
from tests.support.waiting import WAIT, until

SERVER, SERVER_SECRET = pair()
LAPTOP, LAPTOP_SECRET = pair()
BENCH, BENCH_SECRET = pair()
HI: Any = [{"role": "user", "content": "hi there"}]
OTHER = 12345


def config(tmp: Path, **daemon: Any) -> dict[str, Any]:
    key = tmp / "curve.key"
    if not key.exists():
        key.touch(0o600)
        key.write_text(SERVER_SECRET)
    settings = {
        "listen": ["tcp://127.0.0.1:*", f"ipc://{tmp}/team.sock"],
        "curve": {"secret_key_file": str(key), "allowed_clients": [{"app": "bench", "key": BENCH}]},
        **daemon,
    }
    apps = {"laptop": {"match": {"curve_key": LAPTOP}, "pools": ["chat", "endless"]}, "bench": {"admin": True}}
    return {**CONFIG, "daemon": {**CONFIG["daemon"], **settings}, "apps": apps}


@pytest.fixture(scope="module")
def daemon(module_meshd: Any, module_short: Path) -> Any:
    return module_meshd(config(module_short))


def tcp(daemon: Any) -> str:
    found: str = next(each for each in daemon.status()["listen"]["addresses"] if each.startswith("tcp://"))
    return found


def keyed(address: str, secret: str = LAPTOP_SECRET, server: str = SERVER, **options: Any) -> OpenAIClient:
    return OpenAIClient(
        address, curve_server_key=server, curve_secret_key=secret, max_retries=0, **{"timeout": WAIT, **options}
    )


@pytest.fixture
def line(daemon: Any) -> Iterator[Callable[..., Line]]:
    made: list[Line] = []

    def make(kind: int = zmq.DEALER, secret: str = LAPTOP_SECRET) -> Line:
        dialled = zmq.Context.instance().socket(kind)
        dialled.curve_serverkey = SERVER.encode()
        dialled.curve_publickey, dialled.curve_secretkey = zmq.curve_public(secret.encode()), secret.encode()
        dialled.connect(tcp(daemon))
        made.append(Line("", socket=dialled))
        return made[-1]

    yield make
    for each in made:
        each.close()


# -- who asks ---------------------------------------------------------------------------------------------


def test_the_daemon_says_where_it_listens(daemon: Any) -> None:
    said = daemon.status()["listen"]
    assert said["problems"] == []
    assert said["curve_key"] == SERVER
    assert {each.partition("://")[0] for each in said["addresses"]} == {"tcp", "ipc"}
    assert daemon.status()["sockets"] == [f"ipc://{daemon.socket}"]


def test_a_client_with_a_key_is_its_app(daemon: Any) -> None:
    with keyed(tcp(daemon)) as client:
        answer = client.chat.completions.create(model="chat", messages=HI)
        assert "hi there" in str(answer.choices[0].message.content)
        who = client.mesh.request("GET", "/mesh/v1/describe").to_dict()["you"]
        assert (who["app"], who["admin"], who["uid"]) == ("laptop", False, -1)
        with pytest.raises(MeshError, match="may not use"):
            client.chat.completions.create(model="counting", messages=HI)
        with pytest.raises(MeshError):
            client.mesh.request("POST", "/mesh/v1/reload")
        rows = {row["app"]: row for row in daemon.ask("GET", "/mesh/v1/clients")["data"]}
        assert rows["laptop"]["requests"] >= 1


def test_a_named_app_may_be_an_administrator(daemon: Any) -> None:
    with keyed(tcp(daemon), BENCH_SECRET) as client:
        assert client.mesh.request("GET", "/mesh/v1/status").to_dict()["listen"]["curve_key"] == SERVER


def test_streams_and_long_messages_come_whole(daemon: Any) -> None:
    text = "word " * 100_000
    with keyed(tcp(daemon)) as client:
        answer = client.chat.completions.create(model="chat", messages=[{"role": "user", "content": text}])
        assert str(answer.choices[0].message.content).count("word") == 100_000
    with keyed(tcp(daemon), BENCH_SECRET) as client:
        parts = [
            chunk.choices[0].delta.content or ""
            for chunk in client.chat.completions.create(model="counting", messages=HI, stream=True)
            if chunk.choices
        ]
        assert "".join(parts).split() == [str(number) for number in range(200)]


def test_long_and_short_answers_share_a_connection(line: Callable[..., Line]) -> None:
    """libzmq ends a connection on which a number does not rise."""
    made = line(secret=BENCH_SECRET)
    texts = ["x" * 1_000_000, "short", "y" * 70_000, "z" * 900_000, "short too"] * 2
    asked = {made.chat(text): text for text in texts}
    while asked:
        answer = made.receive(made.wire.RESPONSE)
        text = asked.pop(answer.request_id)
        assert json.loads(answer.body)["choices"][0]["message"]["content"] == f"[scripted] {text}"
    made.round_trip()


def test_who_leaves_while_its_long_message_is_opened_leaves_no_trace(daemon: Any, line: Callable[..., Line]) -> None:
    for _ in range(5):
        made = line(secret=BENCH_SECRET)
        made.chat("x" * 900_000)
        made.close()
    with keyed(tcp(daemon)) as client:
        assert client.chat.completions.create(model="chat", messages=HI).choices
    until(lambda: daemon.status()["in_flight"] == 0, what="no request is left")


def test_the_environment_names_address_and_keys(daemon: Any) -> None:
    environment = {
        **os.environ,
        "MESH_SOCKET": tcp(daemon),
        "MESH_CURVE_SERVER_KEY": SERVER,
        "MESH_CURVE_SECRET_KEY": BENCH_SECRET,
    }
    ran = subprocess.run(
        [sys.executable, "-m", "meshd.cli", "status"], env=environment, capture_output=True, text=True, timeout=WAIT
    )
    assert ran.returncode == 0, ran.stderr
    assert SERVER in ran.stdout


@pytest.mark.parametrize("kind", [zmq.DEALER, zmq.REQ])
def test_libzmqs_sockets_are_served(line: Callable[..., Line], kind: int) -> None:
    made = line(kind)
    if kind == zmq.DEALER:
        made.round_trip()
    assert made.welcome.max_message_size == 1024**2


def test_libzmqs_heartbeats_are_answered(daemon: Any) -> None:
    dialled = zmq.Context.instance().socket(zmq.DEALER)
    dialled.curve_serverkey, dialled.heartbeat_ivl, dialled.heartbeat_timeout = SERVER.encode(), 2, 5000
    dialled.curve_publickey, dialled.curve_secretkey = LAPTOP.encode(), LAPTOP_SECRET.encode()
    events = dialled.get_monitor_socket(zmq.Event.DISCONNECTED)
    dialled.connect(tcp(daemon))
    made = Line("", socket=dialled)
    try:
        made.chat(model="endless", stream=True, credit=10_000)
        for _ in range(300):  # PONGs of ZMTP go between messages, in the order of their numbers
            made.receive(made.wire.CHUNK)
        assert not events.poll(0)
    finally:
        dialled.disable_monitor()
        made.close()


def test_a_message_that_is_too_large_is_answered_and_ends_the_connection(line: Callable[..., Line]) -> None:
    made = line()
    made.chat("x" * 2 * 1024**2)
    error = made.receive(made.wire.ERROR)
    assert error.head.status == 413


# -- who may not ------------------------------------------------------------------------------------------


def test_another_key_is_refused_and_told(daemon: Any) -> None:
    _, secret = pair()
    with keyed(tcp(daemon), secret) as client, pytest.raises(AuthenticationError, match="does not admit"):
        client.chat.completions.create(model="chat", messages=HI)


def test_a_client_that_expects_another_daemon_sends_nothing(daemon: Any) -> None:
    public, _ = pair()
    with (
        keyed(tcp(daemon), server=public, timeout=1.0) as client,
        pytest.raises((DaemonUnavailableError, MeshError)),
    ):
        client.chat.completions.create(model="chat", messages=HI)


def test_a_client_without_keys_is_refused(daemon: Any) -> None:
    address = tcp(daemon).removeprefix("tcp://").rpartition(":")
    with socket.create_connection((address[0], int(address[2])), WAIT) as plain:
        peer = RawPeer(plain)
        until(peer.ended, what="the connection is closed")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "needs the daemon's public key"),
        ({"curve_server_key": SERVER}, "this client's own key"),
        ({"curve_server_key": "short", "curve_secret_key": LAPTOP_SECRET}, "curve_server_key is not a CurveZMQ key"),
        ({"curve_server_key": SERVER, "curve_secret_key": '"' * 40}, "it is not Z85"),
        (
            {"curve_server_key": SERVER, "curve_secret_key": LAPTOP_SECRET, "curve_public_key": BENCH},
            "belongs to another",
        ),
    ],
)
def test_a_client_says_which_key_it_lacks(options: Any, said: str) -> None:
    with OpenAIClient("tcp://192.0.2.1:7411", **options) as client, pytest.raises(ConfigurationError, match=said):
        client.models.list()


@pytest.mark.soak
def test_half_open_handshakes_are_ended(daemon: Any) -> None:
    """Three heartbeats after its HELLO, a client that shows no key has lost its connection."""
    host, _, port = tcp(daemon).removeprefix("tcp://").rpartition(":")
    idle = [socket.create_connection((host, int(port)), WAIT) for _ in range(200)]
    try:
        for each in idle:
            peer = CurvePeer(decode_key(SERVER), decode_key(LAPTOP_SECRET))
            each.sendall(GREETING + on_the_wire(peer.hello(), 4))
        for each in idle:
            each.settimeout(60)
            while each.recv(4096):
                pass
        with keyed(tcp(daemon)) as client:
            assert client.chat.completions.create(model="chat", messages=HI).choices
    finally:
        for each in idle:
            each.close()


def test_half_a_handshake_keeps_no_other_client_waiting(daemon: Any) -> None:
    host, _, port = tcp(daemon).removeprefix("tcp://").rpartition(":")
    idle = [socket.create_connection((host, int(port)), WAIT) for _ in range(100)]
    try:
        with keyed(tcp(daemon)) as client:
            assert client.chat.completions.create(model="chat", messages=HI).choices
    finally:
        for each in idle:
            each.close()


# -- without CURVE, and reloads ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def changing(module_meshd: Any) -> Any:
    """A daemon that begins without CURVE; each test gives it the configuration that it needs."""
    made = module_meshd({**CONFIG, "daemon": {"listen": ["tcp://127.0.0.1:*"]}})
    assert "nacl" not in Path(f"/proc/{made.status()['pid']}/maps").read_text(), "it is loaded where it is used"
    return made


def reload(daemon: Any, config: dict[str, Any]) -> Any:
    daemon.write(config)
    return daemon.ask("POST", "/mesh/v1/reload")


def test_without_curve_loopback_serves_the_daemons_user_alone(changing: Any) -> None:
    assert reload(changing, {**CONFIG, "daemon": {"listen": "tcp://127.0.0.1:*"}})["ok"]
    address = tcp(changing)
    with OpenAIClient(address, timeout=WAIT, max_retries=0) as client:
        assert client.chat.completions.create(model="chat", messages=HI).choices
        assert client.mesh.request("GET", "/mesh/v1/describe").to_dict()["you"]["admin"]
    if os.getuid() == 0:
        host, _, port = address.removeprefix("tcp://").rpartition(":")
        program = f"import socket; print(socket.create_connection(({host!r}, {port})).recv(64))"
        ran = subprocess.run(["/usr/bin/python3", "-c", program], user=OTHER, timeout=WAIT, capture_output=True)
        assert b"NULL" not in ran.stdout


def test_reloads_add_and_remove_addresses_and_keys_while_requests_run(changing: Any, module_short: Path) -> None:
    whole = config(module_short, listen=["tcp://127.0.0.1:*"])
    assert reload(changing, whole)["ok"]
    address = tcp(changing)
    port = address.rpartition(":")[2]
    with keyed(address) as client, keyed(address, BENCH_SECRET) as other:
        assert other.chat.completions.create(model="chat", messages=HI).choices
        stream = client.chat.completions.create(model="endless", messages=HI, stream=True)
        next(stream)
        more = config(module_short, listen=["tcp://127.0.0.1:*", f"ipc://{module_short}/more.sock"])
        assert reload(changing, more)["ok"]
        assert changing.status()["listen"]["addresses"] == [address, f"ipc://{module_short}/more.sock"]
        assert next(stream)

        # The app's key is revoked: its stream ends, the other app goes on.
        revoked = config(module_short, listen=["tcp://127.0.0.1:*"])
        revoked["apps"]["laptop"]["match"]["curve_key"], _ = pair()
        assert reload(changing, revoked)["ok"]
        assert not (module_short / "more.sock").exists()
        with pytest.raises(MeshError):
            for _ in stream:
                pass
        with pytest.raises(AuthenticationError):
            client.chat.completions.create(model="chat", messages=HI)
        assert other.chat.completions.create(model="chat", messages=HI).choices

        # The address is removed while a request runs: that one ends, and no other is admitted.
        stream = other.chat.completions.create(model="counting", messages=HI, stream=True)
        next(stream)
        assert reload(changing, config(module_short, listen=[]))["ok"]
        assert sum(1 for _ in stream) > 100
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", int(port)), WAIT)
    assert changing.status()["listen"] == {"addresses": [], "problems": [], "curve_key": ""}


def test_a_key_that_others_can_read_is_refused(changing: Any, module_short: Path) -> None:
    whole = config(module_short)
    key = module_short / "open.key"
    key.write_text(SERVER_SECRET)
    key.chmod(0o644)
    whole["daemon"]["curve"]["secret_key_file"] = str(key)
    answer = reload(changing, whole)
    assert not answer["ok"]
    assert "can be read by others" in str(answer["problems"])
    key.chmod(0o600)
    whole["daemon"]["curve"]["public_key"] = LAPTOP
    assert "belongs to another secret key" in str(reload(changing, whole)["problems"])


def test_an_address_that_is_taken_is_a_problem_and_no_more(changing: Any, module_short: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        whole = config(module_short, listen=[f"tcp://127.0.0.1:{taken.getsockname()[1]}"])
        assert reload(changing, whole)["ok"]
        [problem] = changing.status()["listen"]["problems"]
        assert "another program listens there" in problem
