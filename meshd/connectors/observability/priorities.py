"""Severities as the numbers of syslog (RFC 5424, 6.2.1), which systemd's journal uses too."""

from __future__ import annotations

from meshd.sdk.observability import Entry

_PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}


def priority_of(entry: Entry) -> int:
    """From 7, the least important, to 2."""
    return _PRIORITIES.get(entry.severity, _PRIORITIES["info"])
