"""Each kind of storage, ready to be opened any number of times on the same data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

from meshd.connectors.storage.open import open_storage
from meshd.sdk.storage import Storage
from tests.support.secret_stores.aws import Aws
from tests.support.storages.drive import FOLDER, Drive
from tests.support.storages.servers import Once, Postgresql, Redis

Open = Callable[[], Storage]


def _sqlite(once: Once, directory: Path) -> dict[str, Any]:
    return {}


def _memory(once: Once, directory: Path) -> dict[str, Any]:
    return {}


def _redis(once: Once, directory: Path) -> dict[str, Any]:
    return once(Redis).settings(prefix=uuid4().hex)


def _postgresql(once: Once, directory: Path) -> dict[str, Any]:
    return once(Postgresql).settings(table=f"t{uuid4().hex[:12]}")


def _s3(once: Once, directory: Path) -> dict[str, Any]:
    server = once(Aws)
    bucket = f"b{uuid4().hex}"
    account = server.of("s3")
    account.make_bucket(bucket)
    environment = account.environment()
    keys = {
        "access_key_id": environment["AWS_ACCESS_KEY_ID"],
        "secret_access_key": environment["AWS_SECRET_ACCESS_KEY"],
        "region": environment["AWS_REGION"],
    }
    return {"bucket": bucket, "endpoint_url": server.url, **keys}


def _drive(once: Once, directory: Path) -> dict[str, Any]:
    server = once(Drive)
    server.files.clear()
    credentials = directory / "credentials.json"
    credentials.write_text(server.key_file())
    credentials.chmod(0o600)
    return {"folder_id": FOLDER, "endpoint_url": server.url, "credentials_file": str(credentials)}


KINDS: dict[str, Callable[[Once, Path], dict[str, Any]]] = {
    "modelmesh.memory.v1": _memory,
    "modelmesh.sqlite.v1": _sqlite,
    "modelmesh.local-file.v1": _sqlite,
    "redis.redis.v1": _redis,
    "postgresql.postgresql.v1": _postgresql,
    "aws.s3.v1": _s3,
    "google.drive.v1": _drive,
}
REMOTE = tuple(kind for kind in KINDS if not kind.startswith("modelmesh."))


def opener(kind: str, once: Once, directory: Path, opened: list[Storage]) -> Open:
    """Opens one on empty data; what it opens is added to `opened`. The one in memory is always the same."""
    settings = KINDS[kind](once, directory)

    def open_one() -> Storage:
        made = open_storage(kind, settings, directory)
        opened.append(made)
        return made

    if kind != "modelmesh.memory.v1":
        return open_one
    only = open_one()
    return lambda: only

    return open_one
