"""A keeper on a directory of the test, and what a request writes to its journal."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from meshd.config.schema import StorageConfig
from meshd.spend.journal import JournalWriter, open_segment
from meshd.state.keeper import StateKeeper
from meshd.state.remote.copier import USUAL_PATIENCE, Patience
from meshd.state.settings import StateSettings

NOW = 1_760_000_000.0  # 2025-10-09
ID = bytes(range(16))
DAY_CHAT = "2025-10-09\0pool\0chat"


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


def settings_of(**changed: Any) -> StateSettings:
    """Those of an empty section `storage`, but for these."""
    return msgspec.structs.replace(StateSettings.of(StorageConfig.unset()), **changed)


def opened(
    path: Path,
    clock: Clock | None = None,
    reports: list[str] | None = None,
    patience: Patience = USUAL_PATIENCE,
    **settings: Any,
) -> StateKeeper:
    collected = reports if reports is not None else []
    keeper = StateKeeper(
        path / "state",
        settings_of(**settings),
        now=clock or Clock(),
        report=lambda type, severity, reason: collected.append(type),
        patience=patience,
    )
    keeper.open()
    return keeper


def writer(keeper: StateKeeper) -> JournalWriter:
    return JournalWriter(open_segment(keeper.open_journal()))


def begin(journal: JournalWriter, number: int = 0) -> bytes:
    request = number.to_bytes(16)
    journal.begin(request, NOW, "p", "p/m", "chat", "app", 500, NOW + 600)
    return request


def spend(journal: JournalWriter, cost: int, number: int = 0) -> None:
    journal.settle(begin(journal, number), NOW, 10, 5, 0, cost, True)


def crash(keeper: StateKeeper) -> None:
    """kill -9: nothing more is written, and no lock is held. The next life finds a copy of what the disk has; the
    dead one's open files are those of the directory that made room for it."""
    directory = keeper.directory
    copy = shutil.copytree(directory, directory.with_name("copy"), symlinks=True)
    directory.rename(tempfile.mkdtemp(dir=directory.parent))
    copy.rename(directory)


def usage(keeper: StateKeeper, key: str = DAY_CHAT) -> dict[str, Any]:
    return keeper.load().tables["usage"].get(key, {})
