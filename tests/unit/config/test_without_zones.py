"""A time zone on a machine without /usr/share/zoneinfo, as slim containers are."""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
import sys
if {blocked}: sys.modules["tzdata"] = None
from meshd.config import MeshConfig
from meshd.spend.calendar import Calendar
config = MeshConfig({{"daemon": {{"timezone": {zone!r}}}}}, environ={{}})
print(*config.validate())
if not config.validate(): print(Calendar({zone!r}).text(0.0))
"""


def told(zone: str, blocked: bool) -> str:
    code = CODE.format(zone=zone, blocked=blocked)
    environ = {"PYTHONTZPATH": "", "PYTHONPATH": ":".join(sys.path)}
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=50, check=True, env=environ
    )
    return ended.stdout.strip()


@pytest.mark.parametrize(
    ("zone", "epoch"), [("Pacific/Auckland", "1970-01-01 12:00 NZST"), ("Asia/Kolkata", "1970-01-01 05:30 IST")]
)
def test_the_zones_come_with_the_daemons_packages(zone: str, epoch: str) -> None:
    assert told(zone, blocked=False) == epoch


def test_a_wrong_name_is_still_a_wrong_name() -> None:
    assert "there is no time zone 'Europe/Berln'" in told("Europe/Berln", blocked=False)
    assert "Europe/Berlin" in told("Europe/Berln", blocked=False)


def test_without_any_zones_it_is_said_what_is_lacking() -> None:
    said = told("Europe/Berlin", blocked=True)
    assert "daemon.timezone: 'Europe/Berlin' cannot be looked up: Python finds no time zones here" in said
    assert "pip install tzdata" in said
    assert told("UTC", blocked=True) == "1970-01-01 00:00 UTC"
