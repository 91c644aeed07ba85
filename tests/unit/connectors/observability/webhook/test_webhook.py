"""Batches that are posted: signed as Standard Webhooks says, in order, until they are taken."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from meshd.connectors.observability.webhook.delivery import Delivery, signature
from meshd.connectors.observability.webhook.sink import WebhookSink
from meshd.connectors.observability.webhook.spool import Spool
from meshd.core.webhook_key import key_of
from meshd.sdk.observability import Entry
from tests.support.telemetry.receiver import Receiver
from tests.support.waiting import until

SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"


@pytest.fixture
def receiver() -> Iterator[Any]:
    made: list[Receiver] = []

    def make(*statuses: int, port: int = 0) -> Receiver:
        made.append(Receiver(*statuses, port=port))
        return made[-1]

    yield make
    for each in made:
        each.stop()


@pytest.fixture
def webhook(tmp_path: Path) -> Iterator[Any]:
    made: list[WebhookSink] = []

    def make(url: str, **settings: Any) -> WebhookSink:
        written = {"path": str(tmp_path / "spool"), "batch_interval": 0.01, "batch_size": 2}
        made.append(WebhookSink({"url": url, **written, **settings}, first_wait=0.01))
        return made[-1]

    yield make
    for each in made:
        each.close()


def put(sink: WebhookSink, *messages: str) -> None:
    for message in messages:
        sink.write(Entry("event", 0, "info", message, {}))


def settled(sink: WebhookSink) -> Any:
    return lambda: sink.status()["waiting"] == 0


def test_the_standards_own_library_accepts_a_batch(receiver: Any, webhook: Any) -> None:
    server = receiver()
    sink = webhook(server.url, secret=f"an-older-one {SECRET}", headers={"X-Team": "house"})
    put(sink, "größer \x9b2J", "b", "c")
    until(settled(sink))
    headers, body = server.got[0]
    found = Webhook(SECRET).verify(body, headers)
    assert [each["message"] for each in found["data"]] == ["größer \\x9b2J", "b"]
    assert found["type"] == "mesh.entries"
    assert headers["X-Team"] == "house"
    assert len({headers["webhook-id"] for headers, _ in server.got}) == 2
    for wrong, text in ((SECRET[:-2] + "oE", body), (SECRET, body + b" ")):
        with pytest.raises(WebhookVerificationError):
            Webhook(wrong).verify(text, headers)


def test_it_is_tried_again_with_the_same_id_and_nothing_overtakes(receiver: Any, webhook: Any) -> None:
    server = receiver(500, 429, 302, 401, 204)
    sink = webhook(server.url, secret=SECRET)
    put(sink, *map(str, range(6)))
    until(settled(sink))
    ids = [headers["webhook-id"] for headers, _ in server.got]
    assert ids[:5] == [ids[0]] * 5
    assert len(set(ids)) == 3
    assert server.entries()[8:] == ["0", "1", "2", "3", "4", "5"]
    assert sink.status() == {"waiting": 0, "dropped": 0, "error": ""}


def test_it_waits_as_long_as_the_server_asks_but_not_for_hours(tmp_path: Path) -> None:
    asked = [(429, "99999"), (503, "7"), (503, "soon"), (204, "9")]

    class Busy(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            status, after = asked.pop(0)
            self.send_response(status)
            self.send_header("retry-after", after)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    waits: list[float] = []
    spool = Spool(tmp_path, batch_size=1, batch_interval=0.0, max_size=1000)
    spool.add(b"{}")
    with ThreadingHTTPServer(("127.0.0.1", 0), Busy) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        delivery = Delivery(spool, {"url": url}, first_wait=0.01, sleep=waits.append)
        delivery.start()
        until(lambda: not spool.waiting)
        delivery.stop(5.0)
        server.shutdown()
    assert waits[:2] == [300.0, 7.0]
    assert len(waits) == 3
    assert waits[2] < 1


def test_a_batch_that_the_server_does_not_want_does_not_stop_the_others(receiver: Any, webhook: Any) -> None:
    server = receiver(422, 204)
    sink = webhook(server.url)
    put(sink, "a", "b", "c")
    until(settled(sink))
    assert server.entries() == ["a", "b", "c"]
    assert sink.status()["dropped"] == 2
    assert "webhook-signature" not in server.got[0][0]


def test_what_is_too_large_for_the_server_is_sent_in_parts(receiver: Any, webhook: Any) -> None:
    server = receiver(204, 503, 204)
    server.most = 1000
    sink = webhook(server.url, batch_size=40, batch_interval=3600.0)
    expected = [f"{number:04d}" for number in range(40)]
    put(sink, *expected)
    until(settled(sink))
    found = server.entries()
    assert sorted(set(found)) == expected
    once = found[: len(found) - len(expected)]  # before the 503
    assert found[len(once) :] == expected
    ids = [headers["webhook-id"] for headers, _ in server.got]
    assert len(ids) > len(set(ids)) == len(ids) - 2  # each part has its own, which stays the same
    assert sink.status() == {"waiting": 0, "dropped": 0, "error": ""}


def test_an_entry_that_is_too_large_by_itself_is_dropped(
    receiver: Any, webhook: Any, caplog: pytest.LogCaptureFixture
) -> None:
    server = receiver()
    server.most = 1000
    sink = webhook(server.url, batch_size=3)
    put(sink, "a", "x" * 2000, "b", "c", "y" * 2000, "d")
    until(settled(sink))
    assert server.entries() == ["a", "b", "c", "d"]
    assert sink.status()["dropped"] == 2
    assert [record.message for record in caplog.records if "dropped" in record.message] == [
        "webhook: entries were dropped: the server refused 1 entry with status 413"
    ]


def test_what_a_dead_server_did_not_get_comes_after_a_restart_of_both(receiver: Any, webhook: Any) -> None:
    server = receiver(500)
    sink = webhook(server.url)
    port = server.server_address[1]
    put(sink, *map(str, range(5)))
    until(lambda: server.got)
    until(lambda: sink.status()["error"] == "the server answered with status 500")
    server.stop()
    until(lambda: sink.status()["error"] == "Connection refused")
    sink.close()
    again = receiver(port=port)
    later = webhook(again.url)
    until(settled(later))
    put(later, "5")
    until(settled(later))
    assert again.entries() == ["0", "1", "2", "3", "4", "5"]


def test_a_server_that_hangs_delays_neither_writing_nor_the_end(receiver: Any, webhook: Any) -> None:
    server = receiver()
    server.gate.clear()
    sink = webhook(server.url, timeout=0.2)
    put(sink, "a", "b")
    until(lambda: server.got)
    put(sink, "c", "d")
    until(lambda: "did not answer within 0.2 s" in sink.status()["error"])
    assert sink.status()["waiting"] == 4
    sink.close()
    server.gate.set()
    later = webhook(server.url)
    until(settled(later))
    assert server.entries()[-4:] == ["a", "b", "c", "d"]


@pytest.mark.parametrize("whole_folder", [False, True])
def test_files_that_were_removed_are_counted_and_hold_up_nothing(
    receiver: Any, webhook: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, whole_folder: bool
) -> None:
    server = receiver()
    server.gate.clear()
    sink = webhook(server.url, batch_interval=3600.0)
    put(sink, *map(str, range(5)))  # two batches, and one that is open
    until(lambda: server.got)
    spool = tmp_path / "spool"
    if whole_folder:
        shutil.rmtree(spool)
    else:
        for path in spool.iterdir():
            path.unlink()
    put(sink, "5", "6")
    server.gate.set()
    until(settled(sink))
    assert server.entries() == ["0", "1", "5", "6"]  # the first was being posted
    assert sink.status()["dropped"] == 3
    assert spool.stat().st_mode & 0o777 == 0o700
    assert "with 2 entries, was removed before it was delivered" in caplog.text
    with pytest.raises(OSError, match="in use"):
        webhook(server.url)


def test_the_end_delivers_what_is_open(receiver: Any, webhook: Any) -> None:
    server = receiver()
    sink = webhook(server.url, batch_size=100, batch_interval=3600.0)
    put(sink, "a")
    sink.close()
    assert server.entries() == ["a"]


def test_a_secret_that_is_not_one_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="base64 does not follow"):
        WebhookSink({"url": "http://h", "path": str(tmp_path), "secret": "whsec_!"})
    assert Webhook("YWJj").sign("m", datetime.fromtimestamp(5, UTC), "{}") == signature([key_of("abc")], "m", 5, b"{}")
