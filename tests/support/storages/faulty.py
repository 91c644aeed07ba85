"""S3 and Google Drive, with ways to fail."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.support.secret_stores.front import Front
from tests.support.secret_stores.service import SecretService
from tests.support.storages.all_kinds import KINDS
from tests.support.storages.servers import Once

FAULTS = ("dies", "hangs", "fails", "full", "limits", "rambles", "floods")


class Faulty:
    """service: what has the `fault`. settings: of a storage on it that is empty."""

    def __init__(self, kind: str, once: Once, directory: Path) -> None:
        self.settings = KINDS[kind](once, directory)
        self.service: SecretService
        if kind == "aws.s3.v1":
            self.service = Front(self.settings["endpoint_url"])
            self.settings["endpoint_url"] = self.service.url
            self._close: Callable[[], None] = self.service.close
        else:
            [self.service] = once.running(SecretService)
            self._close = _nothing

    def asked(self) -> int:
        return len(self.service.asked)

    def close(self) -> None:
        self.service.fault = ""
        self._close()


def _nothing() -> None:
    pass
