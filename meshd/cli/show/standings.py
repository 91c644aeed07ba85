"""The state of a model or a provider, in a few words for people."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from meshd.cli import daemon
from meshd.cli.screen import output as out
from meshd.cli.show.usage import budget as budgets
from meshd.core.events.answering import ProviderAnswering

_STYLES = {"active": out.GOOD, "standby": out.BAD, "probation": "yellow"}


def status(model: Mapping[str, Any]) -> tuple[str, str]:
    text = str(model.get("status") or "")
    return text, _STYLES.get(text, "")


def failing(model: Mapping[str, Any]) -> str:
    """How long all its requests have failed, and why; "" if the last one was answered."""
    since, last = model.get("failing_since"), model.get("last_failure")
    if not since or not last:
        return ""
    why = model.get("last_failure_said") or model.get("last_failure_kind")
    what = f"its last request failed {out.ago(last)}"
    if last - since >= 1:
        what = f"every request failed in the last {out.seconds(time.time() - since)}, the last {out.ago(last)}"
    return f"{what}: {why}" if why else what


def availability(provider: Mapping[str, Any]) -> tuple[str, str]:
    if provider.get("enabled") is False:
        return ("left out", "yellow") if provider.get("key") == "missing" else ("disabled", out.FAINT)
    if provider.get("key") in ("refused", "wanted"):
        return f"key {provider['key']}", out.BAD
    if provider.get("answering") == ProviderAnswering.NOTHING:
        return "wrong base_url", out.BAD
    return out.good(provider.get("available"), "available", "away")


def of_its_key(provider: Mapping[str, Any]) -> tuple[str, str]:
    """What is wrong with its key ("" if nothing), and what the provider said about it."""
    what = _WRONG_KEYS.get(str(provider.get("key")), "")
    return what, str(provider.get("said") or "") if what else str(provider.get("reason") or "")


_WRONG_KEYS = {"refused": "its key is refused", "wanted": "it needs a key and has none"}


def percent(fraction: Any) -> str:
    return f"{fraction:.0%}" if isinstance(fraction, int | float) else ""


def show_limits(of: Mapping[str, Any]) -> None:
    if of.get("limits"):
        out.say()
        budgets.show(of["limits"])


def the_one(found: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """The only entry, or the one with exactly that name."""
    for row in found:
        if name in (row.get("id"), row.get("name")):
            return row
    if len(found) == 1:
        return found[0]
    raise daemon.Refused(f"No entry is called {name!r}; without a name, the command lists all.")


def notes(status: Mapping[str, Any]) -> Iterator[str]:
    """The notes of a status, without those of providers that are left out, which have a line of their own."""
    left_out = tuple(f"provider {row.get('name')} is left out" for row in status.get("providers") or ())
    for note in status.get("notes") or ():
        if not str(note).startswith(left_out):
            yield str(note)
