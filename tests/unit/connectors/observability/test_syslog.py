"""Syslog: what a real rsyslogd, and bare sockets, make of the messages."""

from __future__ import annotations

import json
import os
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from meshd.connectors.observability.syslog.messages import Header, framed, message
from meshd.connectors.observability.syslog.sink import SyslogSink
from meshd.sdk.observability import Entry
from tests.support.network.certificates import certificate
from tests.support.network.ports import free_port
from tests.support.waiting import until

RSYSLOGD = shutil.which("rsyslogd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
HEADER = Header(3, "a host", "meshd", 42)


def entry(text: str = "hello", severity: str = "info", **fields: Any) -> Entry:
    return Entry("event", 1_760_000_000_123_456_000, severity, text, fields)


def put(sink: SyslogSink, *entries: Entry) -> None:
    for each in entries:
        sink.write(each)
    sink.flush()


# -- messages ------------------------------------------------------------------------------------------


def test_the_form() -> None:
    text = message(entry("größer\nzwei", "error"), HEADER, as_json=False)
    assert (
        text == b"<27>1 2025-10-09T08:53:20.123456+00:00 ahost meshd 42 event - \xef\xbb\xbf" + "größer zwei".encode()
    )
    assert message(entry(), HEADER, as_json=False).endswith(b" event - hello")
    assert framed(b"<1>1 x") == b"6 <1>1 x"
    data = message(entry("ü\x1b", pool="chät\n"), HEADER, as_json=True)
    assert data.isascii()
    assert b"\n" not in data
    assert json.loads(data.partition(b"@cee: ")[2])["pool"] == "chät\n"


def test_a_datagram_leaves_out_what_does_not_fit() -> None:
    found = entry("x" * 300, request="ab", prompt="p" * 5000, answer="a" * 3000)
    data = message(found, HEADER, as_json=True, longest=1000)
    assert len(data) <= 1000
    told = json.loads(data.partition(b"@cee: ")[2])
    assert (told["request"], told["cut"], "prompt" in told, "answer" in told) == ("ab", True, False, False)
    assert len(message(entry("é" * 900), HEADER, as_json=False, longest=501)) <= 501


# -- a real server ------------------------------------------------------------------------------------


class Rsyslogd:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.unix, self.out = directory / "log", directory / "out"
        self.udp, self.tcp = free_port(), free_port()
        self.config = directory / "rsyslog.conf"
        self.config.write_text(
            f"""
            module(load="imuxsock" SysSock.Use="off")
            module(load="imudp") module(load="imtcp")
            input(type="imuxsock" Socket="{self.unix}" UseSpecialParser="off" CreatePath="on")
            input(type="imudp" address="127.0.0.1" port="{self.udp}" rcvbufSize="1m")
            input(type="imtcp" address="127.0.0.1" port="{self.tcp}")
            global(workDirectory="{directory}" maxMessageSize="256k")
            template(name="parts" type="list" option.jsonf="on") {{
              property(outname="facility" name="syslogfacility-text" format="jsonf")
              property(outname="severity" name="syslogseverity-text" format="jsonf")
              property(outname="host" name="hostname" format="jsonf")
              property(outname="app" name="app-name" format="jsonf")
              property(outname="kind" name="msgid" format="jsonf")
              property(outname="version" name="protocol-version" format="jsonf")
              property(outname="message" name="msg" format="jsonf")
            }}
            action(type="omfile" file="{self.out}" template="parts" fileCreateMode="0600")
            """
        )
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.unix.unlink(missing_ok=True)
        command = [str(RSYSLOGD), "-n", "-f", str(self.config), "-i", str(self.directory / "pid")]
        with (self.directory / "err").open("ab") as said:
            self.process = subprocess.Popen(command, stderr=said, stdout=said)
        until(self.unix.exists, what="rsyslogd listens")
        until(self.accepts, what="rsyslogd listens for connections")

    def accepts(self) -> bool:
        with socket.socket() as found:
            return found.connect_ex(("127.0.0.1", self.tcp)) == 0

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(10)

    def got(self) -> list[dict[str, str]]:
        text = self.out.read_text() if self.out.exists() else ""
        return [json.loads(line) for line in text.splitlines() if "meshd-of-a-test" in line]

    def says(self, text: str) -> dict[str, str]:
        found: dict[str, str] = until(
            lambda: next((each for each in self.got() if text in each["message"]), None), what=text
        )
        return found


@pytest.fixture(scope="module")
def rsyslogd(module_short: Path) -> Iterator[Rsyslogd]:
    if RSYSLOGD is None:
        pytest.skip("needs rsyslogd")
    found = Rsyslogd(module_short)
    found.start()
    yield found
    found.stop()


@pytest.mark.parametrize("way", ["unix", "udp", "tcp"])
def test_rsyslogd_reads_every_part(rsyslogd: Rsyslogd, way: str) -> None:
    address = {
        "unix": str(rsyslogd.unix),
        "udp": f"udp://127.0.0.1:{rsyslogd.udp}",
        "tcp": f"tcp://127.0.0.1:{rsyslogd.tcp}",
    }[way]
    sink = SyslogSink({"address": address, "facility": "local3", "app_name": "meshd-of-a-test"})
    long = 20_000 if way == "tcp" else 1_000
    put(sink, entry(f"by {way}", "error", pool="chat", long="x" * long), entry(f"more by {way}", "debug"))
    found = rsyslogd.says(f"by {way}")
    assert (found["facility"], found["severity"], found["kind"]) == ("local3", "err", "event")
    assert (found["app"], found["version"]) == ("meshd-of-a-test", "1")
    assert found["host"] == socket.gethostname()
    told = json.loads(found["message"].strip().removeprefix("@cee: "))
    assert (told["pool"], len(told["long"])) == ("chat", long)
    assert rsyslogd.says(f"more by {way}")["severity"] == "debug"
    sink.close()


def test_a_server_that_was_restarted_gets_the_next_entries(rsyslogd: Rsyslogd) -> None:
    sink = SyslogSink({"address": f"tcp://127.0.0.1:{rsyslogd.tcp}", "app_name": "meshd-of-a-test"})
    put(sink, entry("before the restart"))
    rsyslogd.says("before the restart")
    rsyslogd.stop()
    with pytest.raises(OSError, match="refused"):
        put(sink, entry("in between"))
    rsyslogd.start()
    put(sink, entry("after the restart"))  # and what could not be sent
    rsyslogd.says("after the restart")
    rsyslogd.says("in between")
    sink.close()


# -- the wire -----------------------------------------------------------------------------------------


def test_over_tls_frames_have_their_length(tmp_path: Path) -> None:
    trusted, key = certificate(tmp_path, "syslog")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(trusted, key)
    got = bytearray()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            plain, _ = server.accept()
            with context.wrap_socket(plain, server_side=True) as connection:
                while data := connection.recv(65536):
                    got.extend(data)

        thread = threading.Thread(target=serve)
        thread.start()
        address = f"tls://localhost:{server.getsockname()[1]}"
        sink = SyslogSink({"address": address, "content": "text", "ca_file": str(trusted)})
        put(sink, entry("one"))
        put(sink, entry("two"))
        sink.close()
        thread.join(10)
    frames, rest = [], bytes(got)
    while rest:
        size, _, rest = rest.partition(b" ")
        frames.append(rest[: int(size)])
        rest = rest[int(size) :]
    assert [frame.rpartition(b" ")[2] for frame in frames] == [b"one", b"two"]


def test_an_authority_that_is_not_trusted_gets_nothing(tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate(tmp_path, "syslog"))
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            plain, _ = server.accept()
            with plain, suppress(OSError):
                context.wrap_socket(plain, server_side=True)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(ssl.SSLCertVerificationError):
            SyslogSink({"address": f"tls://localhost:{server.getsockname()[1]}"})
        thread.join(10)


def test_a_unix_socket_may_be_a_stream(short: Path) -> None:
    """As syslog-ng's `unix-stream()` is; a restart may make datagrams of it."""
    path = short / "log"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        sink = SyslogSink({"address": str(path), "content": "text"})
        put(sink, entry("one"), entry("x" * 120_000))
        connection, _ = server.accept()
        with connection:
            connection.settimeout(10)
            got = bytearray()
            while got.count(b"\0") < 2:
                got += connection.recv(65536)
        assert [len(each) > 100_000 for each in got.split(b"\0")] == [False, True, False]
        assert got.split(b"\0")[0].endswith(b" event - one")
    path.unlink()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as later:
        later.settimeout(10)
        later.bind(str(path))
        put(sink, entry("two"))
        assert later.recv(65536).endswith(b" event - two")
    sink.close()


def test_a_server_that_does_not_read_is_waited_for_only_so_long() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        sink = SyslogSink({"address": f"tcp://127.0.0.1:{server.getsockname()[1]}", "timeout": 0.2})
        with pytest.raises(OSError, match="timed out"):
            put(sink, *(entry("x" * 100_000) for _ in range(200)))
        sink.close()


def test_no_server(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        SyslogSink({"address": str(tmp_path / "absent")})
