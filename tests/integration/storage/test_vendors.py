"""Google's own SDK passes the server that stands in for Drive, and a mesh runs a configuration that a storage holds."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from meshd.compilation.stored_config import stored
from meshd.mesh import ModelMesh
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


@pytest.mark.parametrize("kind", REMOTE)
def test_a_mesh_of_a_configuration_in_a_storage(once: Once, kind: str, tmp_path: Path) -> None:
    settings = KINDS[kind](once, tmp_path)
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
