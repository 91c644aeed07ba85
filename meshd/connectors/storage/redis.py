"""`redis.redis.v1`: Redis or Valkey, through `redis`.

Owns: one hash with the values, and a key for each lease; all names begin with `prefix`.
Must never: import `redis` before it is opened, or show a password in an error.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar
from urllib.parse import urlsplit

from meshd.connectors.storage.faults import of_certificates
from meshd.connectors.storage.redis_limits import DIVIDE
from meshd.connectors.storage.sizes import batches, checked
from meshd.core.text.exceptions import one_line
from meshd.host.plain_text import one_line as shown
from meshd.sdk.storage import Claim, Grant, Storage, StorageError, StoredStat

T = TypeVar("T")
URL = "redis://127.0.0.1:6379/0"
_TIME = struct.Struct(">d")  # UTC s, before each value
_PROLONG = """if redis.call('GET', KEYS[1]) == ARGV[1] then
    return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end return 0"""
_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


class RedisStorage(Storage):
    """Settings: `url` (`redis://`, `rediss://`, `unix://`), `username`, `password`, `prefix`, `timeout`, `ca_file`,
    `cert_file`, `key_file`."""

    atomic: ClassVar[bool] = True
    remote: ClassVar[bool] = True
    leases: ClassVar[bool] = True
    shares: ClassVar[bool] = True

    def __init__(self, settings: Mapping[str, Any], directory: Path) -> None:
        self._url = str(settings.get("url") or URL)
        # The braces keep all names in one slot of a cluster.
        self._prefix = "{" + str(settings.get("prefix") or "meshd") + "}:"
        self._values = self._prefix + "values"
        parts = urlsplit(self._url)
        self.where = f"Redis at {parts.path if parts.scheme == 'unix' else parts.netloc.rpartition('@')[2]}"
        # A server that asks for a certificate closes the connection without saying why.
        asked = urlsplit(self._url).scheme == "rediss" and not settings.get("cert_file")
        self._hint = "; it may ask for a certificate (storage.cert_file)" if asked else ""
        self.client = self._opened(settings)
        self._number = int(time.time() * 1000)  # of the last claim: higher than before a restart

    @classmethod
    def fault(cls, settings: Mapping[str, Any], directory: Path) -> str:
        try:
            parts = urlsplit(str(settings.get("url") or URL))
            if parts.scheme == "unix" and len(parts.path) < 2:
                return "needs the path of a socket: unix:///run/redis.sock"
            if fault := of_certificates(settings) if parts.scheme == "rediss" else "":
                return fault
            cls(settings, directory).close()  # it connects at the first command
        except (ValueError, TypeError):  # its text may contain the password
            return "cannot read its url: it is redis://HOST:PORT/DATABASE, rediss://… or unix:///PATH"
        return ""

    def _opened(self, settings: Mapping[str, Any]) -> Any:
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        patience = float(settings.get("timeout") or 2.0)
        given = {"username": settings.get("username"), "password": settings.get("password")}
        if urlsplit(self._url).scheme == "rediss":
            names = {"ssl_ca_certs": "ca_file", "ssl_certfile": "cert_file", "ssl_keyfile": "key_file"}
            given |= {theirs: settings.get(ours) for theirs, ours in names.items()}
        return redis.Redis.from_url(
            self._url,
            socket_timeout=patience,
            socket_connect_timeout=patience,
            # If a restart of the server closed the connection, it is opened again; a silent server is not asked twice.
            retry=Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
            **{name: value for name, value in given.items() if value},
        )

    # -- values ---------------------------------------------------------------------------------------

    def load(self, key: str) -> bytes | None:
        checked(key, self.do(lambda: self.client.hstrlen(self._values, key)))
        found = self.do(lambda: self.client.hget(self._values, key))
        return None if found is None else found[_TIME.size :]

    def save(self, key: str, value: bytes) -> None:
        self.do(lambda: self.client.hset(self._values, key, _stamped(value)))

    def delete(self, key: str) -> bool:
        return bool(self.do(lambda: self.client.hdel(self._values, key)))

    def list(self, prefix: str = "") -> list[str]:
        keys = (key.decode(errors="replace") for key in self.do(lambda: self.client.hkeys(self._values)))
        return sorted(key for key in keys if key.startswith(prefix))

    def items(self, prefix: str = "") -> Iterator[tuple[str, bytes]]:
        keys = self.list(prefix)
        for some in batches(zip(keys, self._sizes(keys), strict=True)):
            values = self.do(lambda some=some: self.client.hmget(self._values, some))  # type: ignore[misc]
            yield from ((key, value[_TIME.size :]) for key, value in zip(some, values, strict=True) if value)

    def _sizes(self, keys: Sequence[str]) -> Sequence[int]:
        def ask() -> Sequence[int]:
            with self.client.pipeline(transaction=False) as pipe:
                for key in keys:
                    pipe.hstrlen(self._values, key)
                found: Sequence[int] = pipe.execute()
                return found

        return self.do(ask)

    def stat(self, key: str) -> StoredStat | None:
        checked(key, self.do(lambda: self.client.hstrlen(self._values, key)))
        found = self.do(lambda: self.client.hget(self._values, key))
        if found is not None and len(found) < _TIME.size:
            raise StorageError(f"{self.where}: the value of {key!r} is damaged")
        return None if found is None else StoredStat(len(found) - _TIME.size, _TIME.unpack_from(found)[0])

    def save_many(self, changes: Mapping[str, bytes | None]) -> None:
        saved = {key: _stamped(value) for key, value in changes.items() if value is not None}
        gone = [key for key, value in changes.items() if value is None]

        def write() -> None:
            with self.client.pipeline(transaction=True) as pipe:
                if saved:
                    pipe.hset(self._values, mapping=saved)
                if gone:
                    pipe.hdel(self._values, *gone)
                pipe.execute()

        self.do(write)

    # -- leases ---------------------------------------------------------------------------------------

    def acquire(self, name: str, holder: str, seconds: float) -> bool:
        key, lasts = self._lease(name), int(seconds * 1000)
        return bool(
            self.do(
                lambda: (
                    self.client.set(key, holder, nx=True, px=lasts) or self.client.eval(_PROLONG, 1, key, holder, lasts)
                )
            )
        )

    def release(self, name: str, holder: str) -> bool:
        return bool(self.do(lambda: self.client.eval(_RELEASE, 1, self._lease(name), holder)))

    def is_locked(self, name: str) -> str:
        found = self.do(lambda: self.client.get(self._lease(name)))
        return found.decode() if found else ""

    def _lease(self, name: str) -> str:
        return f"{self._prefix}lease:{name}"

    # -- limits that are shared -------------------------------------------------------------------------

    def divide(self, member: str, claims: Sequence[Claim]) -> dict[str, Grant]:
        if not claims:
            return {}
        keys = [f"{self._prefix}server", *(f"{self._prefix}limit:{claim.key}" for claim in claims)]
        given: list[str | int] = []
        for claim in claims:
            given += [claim.limit, claim.used, claim.keeps, claim.needs, claim.lasts, int(claim.last)]
        for _ in range(2):
            self._number += 1
            number = self._number
            found = self.do(lambda number=number: self.client.eval(DIVIDE, len(keys), *keys, member, number, *given))  # type: ignore[misc]
            if isinstance(found, list):
                return {claim.key: Grant(*map(int, each)) for claim, each in zip(claims, found, strict=True)}
            self._number = int(found)  # this machine's clock was set back since the last start
        raise StorageError(f"{self.where}: another daemon asks as {member}")

    # -- asking ---------------------------------------------------------------------------------------

    def do(self, work: Callable[[], T]) -> T:
        """Raises StorageError."""
        import redis

        try:
            return work()
        except redis.AuthenticationError:
            raise StorageError(f"{self.where} refuses the user or the password") from None
        except redis.TimeoutError:
            raise StorageError(f"{self.where} does not answer") from None
        except (redis.RedisError, OSError) as error:
            said = shown(one_line(error))[:_MOST_SAID]
            hint = self._hint if "EOF occurred" in said else ""
            raise StorageError(f"{self.where}: {said}{hint}") from None

    def close(self) -> None:
        self.client.close()


_MOST_SAID = 200


def _stamped(value: bytes) -> bytes:
    return _TIME.pack(time.time()) + value
