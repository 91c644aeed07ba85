"""Who vouches for what is pulled, whose names it takes, and which files are not used."""

from __future__ import annotations

import contextlib
import os
import re
import ssl
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshd.catalogue.known import load_local_models
from meshd.host.trust.paths import untrusted
from meshd.pull import fetch, sources, store
from meshd.pull.bring import pull
from meshd.pull.errors import PullError, Unverified
from meshd.pull.fetch import download
from meshd.pull.store import find, list_models, remove
from tests.support.network.certificates import certificate
from tests.support.providers.servers.weights_server import BODY, SHA, Handler, WeightsServer

# -- who vouches -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["http", "file"])
def test_an_address_vouches_for_nothing(upstream: WeightsServer, tmp_path: Path, scheme: str) -> None:
    upstream.linked = SHA  # not even with a digest of its own
    copy = tmp_path / "model.gguf"
    copy.write_bytes(BODY)
    url = upstream.url if scheme == "http" else copy.as_uri()
    with pytest.raises(Unverified, match="no sha256 is known for"):
        pull(url, base=tmp_path)
    assert upstream.asked == []
    with pytest.raises(PullError, match="not 0000"):
        pull(url, base=tmp_path, sha256="0" * 64)
    with pytest.raises(PullError, match="not a SHA-256"):
        pull(url, base=tmp_path, sha256="zz")
    assert list_models(tmp_path) == []
    assert pull(url, base=tmp_path, sha256=f"sha256:{SHA.upper()}").vouched_by == "you"
    remove("model", tmp_path)
    assert pull(url, base=tmp_path, unverified=True).vouched_by == ""


@pytest.mark.parametrize("linked", [SHA, "0" * 64, None])
def test_the_hub_vouches_over_tls_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, upstream: WeightsServer, linked: str | None
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
    with pytest.raises(PullError, match="not 0000" if linked else "no sha256 is known"):
        pull("hf:o/r/model.gguf", base=tmp_path, environ=secure)
    assert list_models(tmp_path) == []


def test_the_hub_is_not_asked_without_encryption(tmp_path: Path) -> None:
    environ = {"HF_ENDPOINT": "http://mirror.example.com", "HF_TOKEN": "t"}
    with pytest.raises(PullError, match=r"HF_ENDPOINT, http://mirror\.example\.com, is not encrypted"):
        pull("hf:o/r/model.gguf", base=tmp_path, environ=environ, unverified=True)


def test_no_address_takes_the_name_of_another_file(upstream: WeightsServer, tmp_path: Path) -> None:
    for known in load_local_models():
        with pytest.raises(PullError, match="is a known model from another source"):
            pull(f"https://example.com/{known.name.upper()}.gguf", base=tmp_path, unverified=True)
    first = pull(upstream.url, base=tmp_path, unverified=True)
    with pytest.raises(PullError, match="model is already here, from http"):
        pull(f"{upstream.url}?another", base=tmp_path, unverified=True)
    assert first.path.read_bytes() == BODY
    own = first.path.with_name("own.gguf")
    own.write_bytes(b"my own")
    with pytest.raises(PullError, match="already exists, and was not pulled"):
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
    upstream: WeightsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for announced in (True, False):
        monkeypatch.setattr(Handler, "announced", announced)
        with pytest.raises(PullError, match="is larger than the 0 MB"):
            download(upstream.url, tmp_path / "f", limit=1000)
    assert list(tmp_path.iterdir()) == []


# -- other users -----------------------------------------------------------------------------------------


def test_what_others_may_write_is_not_used(upstream: WeightsServer, tmp_path: Path) -> None:
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
def test_no_link_is_followed(upstream: WeightsServer, tmp_path: Path, name: str) -> None:
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
