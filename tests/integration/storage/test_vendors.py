"""Google's own SDK passes the server that stands in for Drive, and a mesh runs a configuration that a storage holds."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from meshd.compilation.stored_config import stored
from meshd.mesh import ModelMesh
from modelmesh import ConfigurationError
from tests.support.secret_stores.service import TOKEN
from tests.support.storages.all_kinds import KINDS, REMOTE
from tests.support.storages.drive import FOLDER, Drive
from tests.support.storages.servers import Once

CONFIG = b"""
providers: {p: {connector: modelmesh.scripted.v1, script: [{reply: hello}]}}
models: {p.chat: {provider: p, capabilities: [chat-completion]}}
pools: {chat: {models: [p.chat]}}
storage: {connector: modelmesh.memory.v1}
discovery: {health: {enabled: false}, sync: {enabled: false}}
"""


@pytest.fixture(scope="module")
def once() -> Iterator[Once]:
    servers = Once()
    yield servers
    servers.close()


def sdk(server: Drive) -> Any:
    """Google's client, from the description of the API that comes with it."""
    from google.oauth2.credentials import Credentials
    from googleapiclient.discovery import build_from_document
    from googleapiclient.discovery_cache import get_static_doc

    document = get_static_doc("drive", "v3").replace("https://www.googleapis.com/", f"{server.url}/")
    return build_from_document(document, credentials=Credentials(token=TOKEN))


def test_googles_sdk(once: Once) -> None:
    from googleapiclient.http import MediaIoBaseUpload

    def media(content: bytes) -> Any:
        return MediaIoBaseUpload(io.BytesIO(content), "application/octet-stream")

    server = once(Drive)
    server.files.clear()
    files = sdk(server).files()
    about = {"name": "value/it's", "parents": [FOLDER], "appProperties": {"holder": "me"}}
    made = files.create(body=about, media_body=media(b"one"), fields="id").execute()
    query = f"'{FOLDER}' in parents and trashed = false and name = 'value/it\\'s'"
    (found,) = files.list(q=query, fields="files(id,size,appProperties)").execute()["files"]
    assert (found["id"], found["size"], found["appProperties"]) == (made["id"], "3", {"holder": "me"})
    files.update(fileId=made["id"], media_body=media(b"three")).execute()
    assert files.get_media(fileId=made["id"]).execute() == b"three"
    files.update(fileId=made["id"], body={"appProperties": {"until": "1"}}).execute()
    assert files.get(fileId=made["id"]).execute()["appProperties"] == {"holder": "me", "until": "1"}
    files.delete(fileId=made["id"]).execute()
    assert files.list(q=query).execute()["files"] == []


PATHS = {"modelmesh.sqlite.v1": "kept.sqlite3", "modelmesh.local-file.v1": "kept"}
"""Those that are files."""


def settings_of(kind: str, once: Once, directory: Path) -> dict[str, Any]:
    return {"path": str(directory / PATHS[kind])} if kind in PATHS else KINDS[kind](once, directory)


@pytest.mark.parametrize("kind", [*PATHS, *REMOTE])
def test_a_mesh_of_a_configuration_in_a_storage(once: Once, kind: str, tmp_path: Path) -> None:
    settings = settings_of(kind, once, tmp_path)
    with stored(kind, settings) as storage:
        storage.save("mesh.yaml", CONFIG)
    mesh = ModelMesh.from_storage(kind, **settings)
    try:
        with mesh.get_client() as client:
            messages = [{"role": "user", "content": "hi"}]
            answer = client.chat.completions.create(model="chat", messages=messages)
        assert answer.choices[0].message.content == "hello"
        mesh.save_config(kind, "copy.yaml", **settings)
    finally:
        mesh.shutdown()
    with stored(kind, settings) as storage:
        assert b"modelmesh.scripted.v1" in (storage.load("copy.yaml") or b"")


@pytest.mark.parametrize("kind", [*PATHS, *REMOTE])
def test_a_configuration_that_is_not_there_or_is_damaged(once: Once, kind: str, tmp_path: Path) -> None:
    settings = settings_of(kind, once, tmp_path)
    with pytest.raises(ConfigurationError, match=r"holds no 'mesh\.yaml'"):
        ModelMesh.from_storage(kind, **settings)
    with stored(kind, settings) as storage:
        storage.save("mesh.yaml", b"\xff\xfe\x00")
    with pytest.raises(ConfigurationError, match="not a text"):
        ModelMesh.from_storage(kind, **settings)


def test_a_mesh_that_keeps_its_state_in_memory_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept, here = tmp_path / "kept", tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    with stored("modelmesh.local-file.v1", {"path": str(kept)}) as storage:
        storage.save("mesh.yaml", CONFIG)
    meshes = [ModelMesh.from_storage("modelmesh.local-file.v1", path=str(kept)) for _ in range(2)]
    for mesh in meshes:
        mesh.shutdown()
    assert list(here.iterdir()) == []


def test_a_storage_that_cannot_be_asked(tmp_path: Path) -> None:
    nowhere = {
        "redis.redis.v1": {"url": "redis://:s3cret@127.0.0.1:1"},
        "postgresql.postgresql.v1": {"url": "postgresql://me:s3cret@127.0.0.1:1/x"},
        "aws.s3.v1": {"bucket": "b", "endpoint_url": "http://127.0.0.1:1", "region": "x", "access_key_id": "a",
                      "secret_access_key": "s3cret"},
        "google.drive.v1": {"credentials_file": str(tmp_path / "none")},
        "modelmesh.sqlite.v1": {"path": str(tmp_path / "none" / "x")},
    }  # fmt: skip
    for kind, settings in nowhere.items():
        with pytest.raises(ConfigurationError) as told:
            ModelMesh.from_storage(kind, timeout="1s", **settings)
        assert "s3cret" not in str(told.value)
    with pytest.raises(ConfigurationError, match="timeout") as told:
        ModelMesh.from_storage("redis.redis.v1", timeout="soon", password="s3cret")
    assert "s3cret" not in str(told.value)
