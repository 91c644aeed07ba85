"""A daemon with something to show, the address of its dashboard, and a browser."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.integration.gateway.conftest import provider

HOSTILE = "<img src=x onerror=alert(1)> \u202eoff \x1b[31mred"
CONFIG: dict[str, Any] = {
    "providers": {
        "echo": provider({"echo": True}),
        "slow": provider({"tokens": ["one ", "two ", "three"], "chunk_delay": "1ms"}),
        "broken": provider({"error": 500, "message": HOSTILE}),
    },
    "models": {
        "echo.chat": {
            "provider": "echo",
            "capabilities": ["chat-completion"],
            "pricing": {"input_per_1m": 1.0, "output_per_1m": 2.0},
        },
        "slow.chat": {"provider": "slow", "capabilities": ["summarization"]},
        "broken.chat": {"provider": "broken", "capabilities": ["rewriting"]},
    },
    "pools": {
        "chat": {"models": ["echo.chat"]},
        "talk": {"models": ["slow.chat", "echo.chat"], "strategy": "stick-until-failure"},
        "fragile": {"models": ["broken.chat", "echo.chat"], "strategy": "stick-until-failure"},
    },
    "apps": {"all": {"match": {"uid": os.getuid()}, "budget": {"daily_limit": 1.0}}},
    "proxy": {"enabled": True, "port": "auto"},
}


@dataclass(frozen=True, slots=True)
class Dashboard:
    """key: as `meshctl dashboard` gets it."""

    daemon: Any
    url: str
    key: str

    @property
    def headers(self) -> dict[str, str]:
        """Those of a request by the page itself."""
        return {"sec-fetch-site": "same-origin", "x-mesh-dashboard-key": self.key}


@pytest.fixture(scope="module")
def dashboard(module_meshd: Any) -> Dashboard:
    daemon = module_meshd(CONFIG)
    found = daemon.ask("GET", "/mesh/v1/dashboard")
    return Dashboard(daemon, found["url"], found["key"])


CHROMIUM = shutil.which("chromium")
# Without these, Chromium asks for updates over a network that a test must not use.
QUIET = ("disable-gpu", "disable-background-networking", "disable-component-update", "disable-sync", "no-first-run")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    sandbox = [] if os.getuid() else ["--no-sandbox"]
    with playwright.sync_playwright() as started:
        found = started.chromium.launch(executable_path=CHROMIUM, args=[*sandbox, *(f"--{name}" for name in QUIET)])
        yield found
        found.close()
