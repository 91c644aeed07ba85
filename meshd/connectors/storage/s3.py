"""`aws.s3.v1`: objects in a bucket, at AWS or any server that speaks S3, through `botocore`.

Owns: the objects below `prefix`: `values/KEY` and `leases/NAME`. Leases are changed by conditional writes.
Must never: import botocore before S3 is asked, or rely on a lease at a server that ignores conditions.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote, unquote

from meshd.connectors.storage.faults import of_certificates
from meshd.connectors.storage.sizes import MOST_BYTES, checked
from meshd.host.plain_text import one_line
from meshd.sdk.storage import Storage, StorageError, StoredStat

_MISSING = ("NoSuchKey", "404", "NotFound")
_UNMET = ("PreconditionFailed", "ConditionalRequestConflict", "412", "409")
_MOST_SAID = 200
_DELETED = 204


class Unmet(Exception):
    """The condition of a write was not met: another daemon was faster."""


class S3Storage(Storage):
    """Settings: `bucket`, `prefix`, `region`, `profile`, `endpoint_url`, `access_key_id`, `secret_access_key`,
    `ca_file`, `timeout`. Without keys, they are found as AWS's own tools find them."""

    remote: ClassVar[bool] = True
    leases: ClassVar[bool] = True

    def __init__(self, settings: Mapping[str, Any], directory: Path) -> None:
        self._settings = settings
        self._bucket = str(settings.get("bucket") or "")
        if not self._bucket:
            raise ValueError("`storage.bucket` is missing")
        self._prefix = str(settings.get("prefix") or "meshd/")
        self._client: Any = None
        self._heeds_conditions = False

    @classmethod
    def fault(cls, settings: Mapping[str, Any], directory: Path) -> str:
        return of_certificates(settings)

    # -- values ---------------------------------------------------------------------------------------

    def load(self, key: str) -> bytes | None:
        answer = self._call("get_object", Key=self._value(key))
        if answer is None:
            return None
        checked(key, int(answer.get("ContentLength") or 0))
        return self._body(answer)

    def save(self, key: str, value: bytes) -> None:
        self._call("put_object", Key=self._value(key), Body=value)

    def delete(self, key: str) -> bool:
        # S3 does not say whether there was one.
        existed = self.exists(key)
        self._call("delete_object", Key=self._value(key))
        return existed

    def list(self, prefix: str = "") -> list[str]:
        folder = self._value("")
        found: list[str] = []
        given = {"Prefix": self._value(prefix)}
        while True:
            answer = self._call("list_objects_v2", **given) or {}
            found += [unquote(each["Key"].removeprefix(folder)) for each in answer.get("Contents") or ()]
            if not answer.get("NextContinuationToken"):
                return sorted(key for key in found if key.startswith(prefix))
            given["ContinuationToken"] = answer["NextContinuationToken"]

    def stat(self, key: str) -> StoredStat | None:
        answer = self._call("head_object", Key=self._value(key))
        return None if answer is None else StoredStat(answer["ContentLength"], answer["LastModified"].timestamp())

    def _value(self, key: str) -> str:
        return f"{self._prefix}values/{quote(key, safe='/')}"

    # -- leases ---------------------------------------------------------------------------------------

    def acquire(self, name: str, holder: str, seconds: float) -> bool:
        self._try_conditions()
        found = self._call("get_object", Key=self._lease(name))
        condition = {"IfNoneMatch": "*"}
        now = 0.0
        if found is not None:
            now = _said_time(found)
            held_by, until = self._read(found)
            if held_by not in ("", holder) and until > now:
                return False
            condition = {"IfMatch": found["ETag"]}
        if not now:
            now = _said_time(self._call("list_objects_v2", Prefix=self._lease(name), MaxKeys=1) or {})
        try:
            # Its clock shows whole seconds: a lease ends up to a second late, never early.
            self._write(name, {"holder": holder, "until": now + 1 + seconds}, condition)
        except Unmet:
            return False
        return True

    def release(self, name: str, holder: str) -> bool:
        found = self._call("get_object", Key=self._lease(name))
        if found is None or self._holder(found) != holder:
            return False
        try:
            # Not deleted: servers differ in whether a deletion may have a condition.
            self._write(name, {"holder": "", "until": 0.0}, {"IfMatch": found["ETag"]})
        except Unmet:
            return False
        return True

    def is_locked(self, name: str) -> str:
        found = self._call("get_object", Key=self._lease(name))
        return "" if found is None else self._holder(found)

    def _holder(self, found: Any) -> str:
        now = _said_time(found)
        holder, until = self._read(found)
        return holder if until > now else ""

    def _read(self, found: Any) -> tuple[str, float]:
        try:
            lease = json.loads(self._body(found))
            return str(lease["holder"]), float(lease["until"])
        except (ValueError, KeyError, TypeError):
            return "", 0.0

    def _write(self, name: str, lease: Mapping[str, Any], condition: Mapping[str, str]) -> None:
        """Raises Unmet."""
        self._call("put_object", Key=self._lease(name), Body=json.dumps(lease).encode(), **condition)

    def _try_conditions(self) -> None:
        """Once: a server that does not know conditions may ignore them, and then two daemons would have the same
        lease."""
        if self._heeds_conditions:
            return
        for _ in range(2):
            try:
                self._write("condition", {"holder": "", "until": 0.0}, {"IfNoneMatch": "*"})
            except Unmet:
                self._heeds_conditions = True
                return
        raise StorageError(
            f"{self._where} ignores If-None-Match, so it cannot have leases: use another server, or set "
            "storage.locking.enabled to false and let one daemon use it"
        )

    def _lease(self, name: str) -> str:
        return f"{self._prefix}leases/{quote(name, safe='')}"

    # -- asking ---------------------------------------------------------------------------------------

    @property
    def _where(self) -> str:
        return f"the bucket {self._bucket}"

    def _call(self, operation: str, **given: Any) -> dict[str, Any] | None:
        """None: there is no such object. Raises StorageError, Unmet."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            if self._client is None:
                self._client = self._opened()
            answer: dict[str, Any] = getattr(self._client, operation)(Bucket=self._bucket, **given)
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code"))
            if code in _MISSING:
                return None
            if code in _UNMET:
                raise Unmet from None
            raise StorageError(f"{self._where}: {one_line(code)[:_MOST_SAID]}") from None
        except (BotoCoreError, OSError, ValueError) as error:
            raise StorageError(f"{self._where} does not answer: {one_line(str(error))[:_MOST_SAID]}") from None
        if not _is_of_s3(operation, answer):
            raise StorageError(f"{self._where}: the server does not speak S3")
        return answer

    def _body(self, answer: Mapping[str, Any]) -> bytes:
        from botocore.exceptions import BotoCoreError

        try:
            return bytes(answer["Body"].read(MOST_BYTES))
        except (BotoCoreError, OSError) as error:
            raise StorageError(f"{self._where}: {one_line(str(error))[:_MOST_SAID]}") from None

    def _opened(self) -> Any:
        from botocore.config import Config
        from botocore.session import Session

        settings = self._settings
        timeout = float(settings.get("timeout") or 10.0)
        limits = Config(connect_timeout=timeout, read_timeout=timeout, retries={"total_max_attempts": 2})
        return Session(profile=settings.get("profile")).create_client(
            "s3",
            region_name=settings.get("region"),
            endpoint_url=settings.get("endpoint_url"),
            aws_access_key_id=settings.get("access_key_id"),
            aws_secret_access_key=settings.get("secret_access_key"),
            verify=settings.get("ca_file"),
            config=limits,
        )

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None


def _is_of_s3(operation: str, answer: Mapping[str, Any]) -> bool:
    """Whether S3 itself answered: a sign-in page comes with 200 too, and botocore takes it for an object or a
    success."""
    if operation == "delete_object":
        return bool(answer["ResponseMetadata"]["HTTPStatusCode"] == _DELETED)
    return ("IsTruncated" if operation == "list_objects_v2" else "ETag") in answer


def _said_time(answer: Mapping[str, Any]) -> float:
    """The server's clock, UTC s, since daemons' clocks may differ."""
    said = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", "")
    try:
        return parsedate_to_datetime(said).timestamp()
    except (TypeError, ValueError):
        raise StorageError("the server does not say what time it is (the header Date)") from None
