"""`google.drive.v1`: files in a Google Drive folder, through its REST API (v3).

Owns: the files `value/KEY` and `lease/NAME` in the folder, and what the API's statuses mean.
Must never: import google-auth before Drive is asked. Drive has no conditional writes, and several files may have the
same name: of two leases the older counts, of two values the one that was changed last.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, ClassVar
from uuid import uuid4

from meshd.connectors.bounded_answers import TooLong, sent
from meshd.connectors.google_tokens import NoToken, new_token
from meshd.connectors.secrets.files import read_text
from meshd.connectors.storage.faults import of_certificates
from meshd.host.plain_text import one_line
from meshd.sdk.secrets import SecretMissing, SecretStoreError
from meshd.sdk.storage import Storage, StorageError, StoredStat

URL = "https://www.googleapis.com"
_APP_FOLDER = "appDataFolder"
_SCOPES = {True: "https://www.googleapis.com/auth/drive.appdata", False: "https://www.googleapis.com/auth/drive"}
_FIELDS = "id,name,size,createdTime,modifiedTime,appProperties"
_SOON = 60.0  # s before a token's end at which it is renewed
_MOST_SAID = 200
_MOST_BYTES = 256 * 1024**2  # of an answer


Files = list[dict[str, Any]]
"""As Drive describes them."""


class GoogleDriveStorage(Storage):
    """Settings: `folder_id` (else the app's own folder), `credentials_file` (else those of the environment or of the
    machine), `timeout`, `endpoint_url`, `ca_file`."""

    remote: ClassVar[bool] = True
    leases: ClassVar[bool] = True

    def __init__(self, settings: Mapping[str, Any], directory: Path) -> None:
        self._settings = settings
        self._folder = str(settings.get("folder_id") or _APP_FOLDER)
        self._base = str(settings.get("endpoint_url") or URL).rstrip("/")
        self._patience = float(settings.get("timeout") or 10.0)
        self._client: Any = None
        self._token, self._ends_at = "", 0.0
        self._ids: dict[str, str] = {}  # names of values → ids of files
        self._now = 0.0  # UTC s by the server, at its last answer

    @classmethod
    def fault(cls, settings: Mapping[str, Any], directory: Path) -> str:
        return of_certificates(settings)

    # -- values ---------------------------------------------------------------------------------------

    def load(self, key: str) -> bytes | None:
        name = f"value/{key}"
        known = name in self._ids
        id = self._id(name)
        if id is None:
            return None
        status, content, _ = self._ask("GET", f"/drive/v3/files/{id}", {"alt": "media"})
        if status == 404:
            del self._ids[name]
            return self.load(key) if known else None
        return content

    def save(self, key: str, value: bytes) -> None:
        name = f"value/{key}"
        id = self._id(name)
        if id is not None:
            status, _, _ = self._ask("PATCH", f"/upload/drive/v3/files/{id}", {"uploadType": "media"}, value)
            if status != 404:
                return
            del self._ids[name]
        self._ids[name] = self._create({"name": name}, value)

    def delete(self, key: str) -> bool:
        found = self._files(f"value/{key}")
        for each in found:
            self._ask("DELETE", f"/drive/v3/files/{each['id']}")
        self._ids.pop(f"value/{key}", None)
        return bool(found)

    def list(self, prefix: str = "") -> list[str]:
        found = sorted(self._files(), key=lambda each: str(each["modifiedTime"]))
        self._ids = {each["name"]: each["id"] for each in found if each["name"].startswith("value/")}
        keys = (name.removeprefix("value/") for name in self._ids)
        return sorted(key for key in keys if key.startswith(prefix))

    def stat(self, key: str) -> StoredStat | None:
        found = self._files(f"value/{key}")
        if not found:
            return None
        last = max(found, key=lambda each: str(each["modifiedTime"]))
        return StoredStat(int(last["size"]), datetime.fromisoformat(last["modifiedTime"]).timestamp())

    def _id(self, name: str) -> str | None:
        if name not in self._ids:
            found = self._files(name)
            if not found:
                return None
            self._ids[name] = str(max(found, key=lambda each: str(each["modifiedTime"]))["id"])
        return self._ids[name]

    # -- leases ---------------------------------------------------------------------------------------

    def acquire(self, name: str, holder: str, seconds: float) -> bool:
        now, leases = self._leases(name)
        mine = next((each for each in leases if each["holder"] == holder), None)
        if leases and leases[0] is not mine:
            return False
        until = str(now + 1 + seconds)  # its clock shows whole seconds
        if mine is not None:
            body = {"appProperties": {"until": until}}
            status, _, _ = self._ask("PATCH", f"/drive/v3/files/{mine['id']}", body=body)
            return status != 404
        id = self._create({"name": f"lease/{name}", "appProperties": {"holder": holder, "until": until}}, b"")
        _, leases = self._leases(name)
        if leases and leases[0]["id"] == id:
            return True
        self._ask("DELETE", f"/drive/v3/files/{id}")
        return False

    def release(self, name: str, holder: str) -> bool:
        _, leases = self._leases(name)
        mine = [each for each in leases if each["holder"] == holder]
        for each in mine:
            self._ask("DELETE", f"/drive/v3/files/{each['id']}")
        return bool(mine)

    def is_locked(self, name: str) -> str:
        _, leases = self._leases(name)
        return str(leases[0]["holder"]) if leases else ""

    def _leases(self, name: str) -> tuple[float, Files]:
        """(the server's clock, leases that have not expired, the oldest first). Expired ones are deleted."""
        files = self._files(f"lease/{name}")
        kept = []
        for each in files:
            given = each.get("appProperties") or {}
            if _number(given.get("until")) > self._now:
                kept.append({**each, "holder": str(given.get("holder") or "")})
            else:
                self._ask("DELETE", f"/drive/v3/files/{each['id']}")
        return self._now, sorted(kept, key=lambda each: (each["createdTime"], each["id"]))

    # -- files ----------------------------------------------------------------------------------------

    def _files(self, name: str | None = None) -> Files:
        """The files in the folder, or those with this name."""
        escaped = (name or "").replace("\\", "\\\\").replace("'", "\\'")
        wanted = f"'{self._folder}' in parents and trashed = false" + (f" and name = '{escaped}'" if name else "")
        query = {
            "q": wanted,
            "fields": f"nextPageToken,files({_FIELDS})",
            "pageSize": "1000",
            "spaces": _APP_FOLDER if self._folder == _APP_FOLDER else "drive",
            "includeItemsFromAllDrives": "true",
        }
        found: Files = []
        while True:
            answer = self._object("GET", "/drive/v3/files", query)
            found += [each for each in answer.get("files") or () if each.keys() >= _FIELDS_NEEDED]
            if not answer.get("nextPageToken"):
                return found
            query["pageToken"] = str(answer["nextPageToken"])

    def _create(self, about: Mapping[str, Any], content: bytes) -> str:
        boundary = uuid4().hex
        told = json.dumps({**about, "parents": [self._folder]})
        head = f"--{boundary}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n{told}\r\n"
        head += f"--{boundary}\r\nContent-Type: application/octet-stream\r\n\r\n"
        body = head.encode() + content + f"\r\n--{boundary}--\r\n".encode()
        query = {"uploadType": "multipart", "fields": "id"}
        kind = f"multipart/related; boundary={boundary}"
        return str(self._object("POST", "/upload/drive/v3/files", query, body, kind)["id"])

    # -- asking ---------------------------------------------------------------------------------------

    def _object(
        self, method: str, path: str, query: Mapping[str, str], body: Any = None, kind: str = ""
    ) -> dict[str, Any]:
        status, content, _ = self._ask(method, path, query, body, kind)
        if status == 404:
            raise StorageError(f"Google Drive has no folder {self._folder}, or this account may not see it")
        try:
            answer: dict[str, Any] = json.loads(content)
            return {**answer}
        except (ValueError, TypeError, RecursionError):
            raise StorageError("Google Drive did not answer with JSON") from None

    def _ask(
        self, method: str, path: str, query: Mapping[str, str] | None = None, body: Any = None, kind: str = ""
    ) -> tuple[int, bytes, Mapping[str, str]]:
        """(status, content, headers); the status is below 300 or 404. Raises StorageError."""
        import httpx

        headers = {"Authorization": f"Bearer {self._bearer()}"}
        if isinstance(body, bytes):
            headers["Content-Type"] = kind or "application/octet-stream"
        given = {"content": body} if isinstance(body, bytes) else {"json": body}
        try:
            client = self._opened()
            url, params = self._base + path, {**(query or {}), "supportsAllDrives": "true"}
            request = client.build_request(method, url, headers=headers, params=params, **given)
            answer, content = sent(client, request, _MOST_BYTES)
        except TooLong:
            raise StorageError("Google Drive sent too large an answer") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            said = one_line(str(error))[:_MOST_SAID] or type(error).__name__
            raise StorageError(f"Google Drive does not answer: {said}") from None
        if answer.status_code == 401:
            self._token = ""
        if answer.status_code >= 300 and answer.status_code != 404:
            raise StorageError(f"Google Drive refused: {answer.status_code} {_reason(content)}".rstrip())
        if answer.headers.get("Content-Type", "").startswith("text/html"):  # such as a sign-in page
            raise StorageError("something other than Google Drive answered, with a web page")
        self._now = _said_time(answer.headers.get("Date", ""))
        return answer.status_code, content, answer.headers

    def _bearer(self) -> str:
        if not self._token or time.time() >= self._ends_at - _SOON:
            given = self._settings.get("credentials_file")
            try:
                text = read_text(Path(os.path.expanduser(given)), private=True) if given else None
                scope = _SCOPES[self._folder == _APP_FOLDER]
                self._token, self._ends_at, _ = new_token(scope, text, self._patience)
            except (NoToken, SecretStoreError, SecretMissing) as error:
                raise StorageError(str(error)) from None
        return self._token

    def _opened(self) -> Any:
        if self._client is None:
            from meshd.net.connections.tls import blocking_client

            self._client = blocking_client(self._settings.get("ca_file"), self._patience)
        return self._client

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None


_FIELDS_NEEDED = {"id", "name", "createdTime", "modifiedTime"}


def _reason(content: bytes) -> str:
    try:
        return one_line(str(json.loads(content)["error"]["message"]))[:_MOST_SAID]
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""


def _number(text: Any) -> float:
    try:
        return float(text)
    except (TypeError, ValueError):
        return 0.0


def _said_time(said: str) -> float:
    """The server's clock, UTC s."""
    try:
        return parsedate_to_datetime(said).timestamp()
    except (TypeError, ValueError):
        return time.time()
