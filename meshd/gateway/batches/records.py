"""What is known about a batch: as it is stored, and as OpenAI's API shows it.

Must never: change a batch (`batch_run.py` does), or show who owns it.
"""

from __future__ import annotations

from typing import Any

import msgspec

from meshd.core.caller import Caller, Peer, Token
from meshd.gateway.access.owner import Owner

VALIDATING, IN_PROGRESS, FINALIZING, COMPLETED = "validating", "in_progress", "finalizing", "completed"
FAILED, EXPIRED, CANCELLING, CANCELLED = "failed", "expired", "cancelling", "cancelled"
ENDED = frozenset({COMPLETED, FAILED, EXPIRED, CANCELLED})
_TIMES = (IN_PROGRESS, FINALIZING, COMPLETED, FAILED, EXPIRED, CANCELLING, CANCELLED)


class Fault(msgspec.Struct, frozen=True):
    """Why a batch cannot be run. line: in its file, from 1; None if the fault concerns the whole batch."""

    code: str
    message: str
    line: int | None = None
    param: str | None = None


class Part(msgspec.Struct, frozen=True):
    """Lines of a batch that make up one batch at its provider. first, last: numbers of lines. count: of requests.
    since: UTC s, shortly before it was submitted; 0: it was not. id: the provider's; "": not known. ended: nothing more
    comes from the provider."""

    first: int
    last: int
    count: int = 1
    since: float = 0.0
    id: str = ""
    ended: bool = False

    def changed(self, **changed: object) -> Part:
        return msgspec.structs.replace(self, **changed)


class AtProvider(msgspec.Struct, frozen=True):
    """A batch that is passed on. api: that of its provider (`formats/batches/known.py`). model: the model's id. key:
    the id of the provider's key, "" without one. only_key: the provider had no other. parts: those that may be at the
    provider. trouble: why the provider cannot be asked about it now, "" if it can. ended: nothing more comes from the
    provider."""

    provider: str
    api: str
    model: str
    key: str = ""
    only_key: bool = True
    parts: tuple[Part, ...] = ()
    trouble: str = ""
    ended: bool = False


class BatchRecord(msgspec.Struct, frozen=True):
    """run: 12 bytes in hex, with which the ids of its requests begin; a secret, so that no app can use such an id.
    caller: who asked for it, as `caller_row` writes it. output, errors: ids of the files of results; they are kept if
    they hold anything. total: its requests, 0 before they were counted. completed, failed: how many of them, once it
    has ended. at: status → since when, in UTC s. there: the provider that it is passed on to, or None. model: the id of
    the model whose `batch` settings apply, "" if there is none. told: its end was posted to the model's `callback`, or
    need not be. Times in UTC s."""

    id: str
    run: str
    user: str
    app: str
    caller: dict[str, Any]
    endpoint: str
    input: str
    window: str
    created_at: int
    expires_at: int
    output: str
    errors: str
    metadata: dict[str, str] = {}
    results_live: float | None = None
    status: str = VALIDATING
    total: int = 0
    completed: int = 0
    failed: int = 0
    at: dict[str, int] = {}
    faults: tuple[Fault, ...] = ()
    there: AtProvider | None = None
    model: str = ""
    told: bool = True

    @property
    def owner(self) -> Owner:
        return Owner(self.user, self.app)

    @property
    def ended(self) -> bool:
        return self.status in ENDED

    def in_status(self, status: str, now: float, **changed: Any) -> BatchRecord:
        return msgspec.structs.replace(self, status=status, at={**self.at, status: int(now)}, **changed)

    def request_id(self, line: int) -> bytes:
        """The same in every run of the daemon, so that the journal shows whether the line was sent."""
        return bytes.fromhex(self.run) + line.to_bytes(4, "big")

    def line_of(self, request_id: bytes) -> int | None:
        """The line whose request has that id; None if the id is not from this batch."""
        prefix = bytes.fromhex(self.run)
        return int.from_bytes(request_id[12:], "big") if request_id[:12] == prefix else None

    def shown(self, completed: int, failed: int, *, partial: bool = False) -> dict[str, Any]:
        """In OpenAI's form. completed, failed: its requests so far. partial: their results can be read already."""
        faults = [msgspec.to_builtins(fault) for fault in self._faults()]
        readable = self.ended or partial
        return {
            "id": self.id,
            "object": "batch",
            "endpoint": self.endpoint,
            "errors": {"object": "list", "data": faults} if faults else None,
            "input_file_id": self.input,
            "completion_window": self.window,
            "status": self.status,
            "output_file_id": self.output if readable and completed else None,
            "error_file_id": self.errors if readable and failed else None,
            "created_at": self.created_at,
            "expires_at": self.expires_at,
            **{f"{name}_at": self.at.get(name) for name in _TIMES},
            "request_counts": {"total": self.total, "completed": completed, "failed": failed},
            "metadata": self.metadata or None,
        }

    def _faults(self) -> tuple[Fault, ...]:
        if self.there is None or not self.there.trouble or self.ended:
            return self.faults
        return (*self.faults, Fault("provider_key_missing", self.there.trouble))


def caller_row(caller: Caller) -> dict[str, Any]:
    if isinstance(caller, Token):
        return {"digest": caller.digest, "name": caller.name}
    row: dict[str, Any] = msgspec.to_builtins(_PeerRow(**{name: getattr(caller, name) for name in _PEER_FIELDS}))
    return row


def caller_of(row: dict[str, Any]) -> Caller:
    """Raises ValidationError."""
    if "digest" in row:
        return Token(str(row["digest"]), str(row.get("name", "")))
    kept = msgspec.convert(row, _PeerRow)
    return Peer(**{name: getattr(kept, name) for name in _PEER_FIELDS})


class _PeerRow(msgspec.Struct):
    """A `Peer`, as a file keeps it."""

    uid: int = -1
    gid: int = -1
    pid: int = 0
    started: int = 0
    name: str = ""
    exe: str = ""
    unit: str = ""
    groups: frozenset[int] = frozenset()
    system_unit: str = ""
    script: str = ""
    network: str = ""
    socket: int = 0


_PEER_FIELDS = _PeerRow.__struct_fields__
