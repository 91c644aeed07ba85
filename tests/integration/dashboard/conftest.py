"""A daemon with something to show, the address of its dashboard, and a browser."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from modelmesh import OpenAIClient
from tests.integration.gateway.conftest import provider
from tests.support.waiting import WAIT

HOSTILE = "<img src=x onerror=alert(1)> \u202eoff \x1b[31mred"
CONFIG: dict[str, Any] = {
    "providers": {
        "echo": provider({"echo": True}),
        "slow": provider({"tokens": ["one ", "two ", "three"], "chunk_delay": "1ms"}),
        "odd": provider({"tokens": ["one\n", "\ttwo \u202eoff", " \x1b[31mred\r\n", "three"]}),
        "broken": provider({"error": 500, "message": HOSTILE}),
    },
    "models": {
        "echo.chat": {
            "provider": "echo",
            "capabilities": ["chat-completion"],
            "pricing": {"input_per_1m": 1.0, "output_per_1m": 2.0},
        },
        "slow.chat": {"provider": "slow", "capabilities": ["summarization"]},
        "odd.chat": {"provider": "odd", "capabilities": ["rewriting"]},
        "broken.chat": {"provider": "broken", "capabilities": ["rewriting"]},
    },
    "pools": {
        "chat": {"models": ["echo.chat"]},
        "talk": {"models": ["slow.chat", "echo.chat"], "strategy": "stick-until-failure"},
        "odd": {"models": ["odd.chat"]},
        "picky": {"models": ["slow.chat", "echo.chat"], "strategy": "priority-selection"},
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


def ask(dashboard: Dashboard, model: str) -> None:
    with OpenAIClient(dashboard.daemon.socket, timeout=WAIT) as client:
        client.chat.completions.create(model=model, messages=[{"role": "user", "content": "hi"}])


HEADINGS = {
    "Overview": "Pools",
    "Requests": "Last requests",
    "Usage": "Usage",
    "Events": "Events",
    "Ask": "Ask a model",
}
"""Of each part: until it is there, the page shows the part before."""


class Shown:
    """The dashboard in a tab. said: errors on its console."""

    def __init__(self, browser: Any, dashboard: Dashboard, fragment: str, **options: Any) -> None:
        self._context = browser.new_context(**options)
        self._context.set_default_timeout(WAIT * 1000)
        self.page = self._context.new_page()
        self.said: list[str] = []
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: self.said.append(f"dialog: {dialog.message}"))
        self.page.goto(f"{dashboard.url}/{fragment}")

    def part(self, name: str) -> None:
        self.page.get_by_role("navigation").get_by_role("link", name=name, exact=True).click()
        self.page.wait_for_function("name => document.title.endsWith(name)", arg=name)
        self.page.get_by_role("heading", name=HEADINGS[name], exact=True).wait_for()

    def sees(self, text: str) -> None:
        self.page.get_by_text(text).first.wait_for()

    def yes(self) -> None:
        self.page.get_by_role("dialog").get_by_role("button", name="Yes").click()

    def close(self) -> None:
        self._context.close()


@pytest.fixture(scope="module")
def dashboard(module_meshd: Any) -> Dashboard:
    return dashboard_of(module_meshd(CONFIG))


def dashboard_of(daemon: Any) -> Dashboard:
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


@pytest.fixture
def shown(browser: Any, dashboard: Dashboard) -> Iterator[Shown]:
    yield from opened(browser, dashboard)


def opened(browser: Any, dashboard: Dashboard) -> Iterator[Shown]:
    """The page, until the test ends; then it must have said nothing."""
    found = Shown(browser, dashboard, f"#key={dashboard.key}")
    found.sees("pools")
    yield found
    found.close()
    assert found.said == []
