"""What the directory remembers of this daemon's parts is never more than what was said of them."""

from __future__ import annotations

from pathlib import Path

from meshd.connectors.storage.memory import MemoryStorage
from meshd.sdk.storage import Claim, Storage, StorageError
from meshd.state.remote.kept_parts import KeptParts


class FullDisk(MemoryStorage):
    full = False

    def save(self, key: str, value: bytes) -> None:
        if self.full:
            raise StorageError("no space left")
        super().save(key, value)


def keeps(kept: KeptParts, storage: Storage, first: bool = False, **amounts: int) -> dict[str, int]:
    claims = [Claim(key, 100, 0, amount, ahead=key == "tomorrow") for key, amount in amounts.items()]
    return {claim.key: claim.keeps for claim in kept.remember(storage, claims, first=first)}


def test_the_next_life_keeps_what_this_one_kept() -> None:
    storage = MemoryStorage({}, Path())
    keeps(KeptParts(), storage, today=50, tomorrow=40)
    again = KeptParts()
    assert keeps(again, storage, today=10) == {"today": 50}
    assert keeps(again, storage, today=10, tomorrow=0) == {"today": 10, "tomorrow": 40}
    assert keeps(again, storage, today=5, tomorrow=0) == {"today": 5, "tomorrow": 0}
    assert keeps(KeptParts(), storage, today=0, tomorrow=0) == {"today": 5, "tomorrow": 0}


def test_a_router_that_begins_again_has_what_the_last_one_kept() -> None:
    storage, kept = MemoryStorage({}, Path()), KeptParts()
    keeps(kept, storage, first=True, today=50, tomorrow=40)
    assert keeps(kept, storage, today=45) == {"today": 45}
    assert keeps(kept, storage, first=True, today=0, tomorrow=0) == {"today": 45, "tomorrow": 40}


def test_a_full_disk_gives_nothing_back() -> None:
    storage, kept = FullDisk({}, Path()), KeptParts()
    keeps(kept, storage, today=50)
    storage.full = True
    assert keeps(kept, storage, today=10) == {"today": 50}
    assert keeps(KeptParts(), storage, today=10) == {"today": 50}
    storage.full = False
    assert keeps(kept, storage, today=10) == {"today": 10}


def test_a_damaged_row_is_nothing() -> None:
    storage = MemoryStorage({}, Path())
    storage.save("kept", b"[")
    assert keeps(KeptParts(), storage, today=10) == {"today": 10}
