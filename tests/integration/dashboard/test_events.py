"""Events in the dashboard: those before it was opened and those since, each once, and little asked for them."""

from __future__ import annotations

from typing import Any

from tests.integration.dashboard.conftest import Dashboard, Shown
from tests.support.waiting import WAIT

BURST = 20


def switch(dashboard: Dashboard, reason: str) -> None:
    dashboard.daemon.ask("POST", "/mesh/v1/models/deactivate", {"id": "slow.chat", "reason": reason})
    dashboard.daemon.ask("POST", "/mesh/v1/models/activate", {"id": "slow.chat"})


def test_history_and_news_are_merged_without_minor_ones(browser: Any, dashboard: Dashboard) -> None:
    switch(dashboard, "long before")
    found = Shown(browser, dashboard, f"#key={dashboard.key}")
    found.sees("pools")
    with dashboard.daemon.client():
        switch(dashboard, "while on Overview")
    found.part("Events")
    found.sees("while on Overview")
    found.sees("long before")
    switch(dashboard, "while on Events")
    found.sees("while on Events")
    for reason in ("long before", "while on Overview", "while on Events"):
        assert found.page.locator("ol.events li", has_text=reason).count() == 1
    listed = found.page.locator("ol.events").inner_text()
    assert listed.index("while on Events") < listed.index("while on Overview") < listed.index("long before")
    assert "client_" not in listed
    found.close()
    assert found.said == []


def test_many_events_ask_for_little(shown: Shown, dashboard: Dashboard) -> None:
    shown.part("Events")
    asked: list[str] = []
    shown.page.on("request", lambda request: asked.append(request.url) if "/status" in request.url else None)
    shown.page.evaluate("window.began = performance.now()")
    for number in range(BURST):
        switch(dashboard, f"of many {number}.")
    shown.sees(f"of many {BURST - 1}.")
    took = shown.page.evaluate("performance.now() - window.began") / 1000
    assert took < WAIT
    assert len(asked) <= took + 1
    assert shown.page.locator("ol.events li", has_text="of many").count() == BURST
