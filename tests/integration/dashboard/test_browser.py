"""The dashboard in Chromium: what people see and press, and whether everyone can."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conformance.install import directory, missing
from tests.integration.dashboard.conftest import CONFIG, Dashboard, Shown, ask
from tests.support.network.ports import free_port
from tests.support.telemetry.otlp import claude_event, logs
from tests.support.waiting import WAIT

PARTS = ("Overview", "Requests", "Usage", "Events", "Ask")
PICTURES = Path(__file__).parents[3] / ".cache" / "screenshots"


def test_without_its_key_the_page_says_what_to_do(browser: Any, dashboard: Dashboard) -> None:
    found = Shown(browser, dashboard, "")
    found.sees("meshctl dashboard")
    assert "echo.chat" not in found.page.content()
    found.close()


def test_the_key_does_not_stay_in_the_address(shown: Shown) -> None:
    assert "key" not in shown.page.url


def test_text_from_outside_is_shown_as_text(shown: Shown, dashboard: Dashboard) -> None:
    ask(dashboard, "fragile")
    shown.part("Requests")
    shown.page.get_by_text("fragile → echo.chat").first.click()
    shown.sees("<img src=x onerror=alert(1)>")
    assert shown.page.locator("main img").count() == 0
    assert not any(mark in shown.page.locator("main").inner_text() for mark in "\u202e\x1b")


def test_a_model_is_switched_off_and_on(shown: Shown, dashboard: Dashboard) -> None:
    pool = shown.page.locator("details", has_text="talk").first
    pool.locator("summary").click()
    pool.get_by_role("button", name="Switch slow.chat off").click()
    shown.yes()
    pool.get_by_role("button", name="Switch slow.chat on").wait_for()
    assert dashboard.daemon.model("slow.chat")["deactivated"]
    pool.get_by_role("button", name="Switch slow.chat on").click()
    shown.yes()
    pool.get_by_role("button", name="Switch slow.chat off").wait_for()
    assert dashboard.daemon.model("slow.chat")["deactivated"] is None


def test_nothing_is_done_without_a_yes(shown: Shown, dashboard: Dashboard) -> None:
    before = dashboard.daemon.status()["config"]["generation"]
    shown.page.get_by_role("button", name="Reload").click()
    shown.page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    shown.page.get_by_role("dialog").wait_for(state="hidden")
    assert dashboard.daemon.status()["config"]["generation"] == before


def test_events_appear_by_themselves(shown: Shown, dashboard: Dashboard) -> None:
    shown.part("Events")
    dashboard.daemon.ask("POST", "/mesh/v1/models/deactivate", {"id": "slow.chat", "reason": "for the event"})
    shown.sees("for the event")
    dashboard.daemon.ask("POST", "/mesh/v1/models/activate", {"id": "slow.chat"})


def test_an_answer_streams_and_a_decision_is_explained(shown: Shown) -> None:
    shown.part("Ask")
    shown.page.get_by_label("Pool").select_option("talk")
    shown.page.get_by_label("Question").fill("Count.")
    shown.page.get_by_role("button", name="Send").click()
    shown.sees("one two three")
    shown.sees("slow.chat, first token")
    shown.page.get_by_role("button", name="Explain").click()
    shown.sees("slow.chat would answer.")


def test_an_answers_controls_are_shown_as_signs(shown: Shown) -> None:
    shown.part("Ask")
    shown.page.get_by_label("Pool").select_option("odd")
    shown.page.get_by_role("button", name="Send").click()
    shown.sees("odd.chat, first token")
    answer = shown.page.get_by_role("log").evaluate("each => each.textContent")
    assert answer == "one\n\ttwo \ufffdoff \ufffd[31mred\nthree"


@pytest.mark.parametrize("project", ["web", "~/größe/日本 ☃"])
def test_usage_by_project_shows_what_agents_spend_elsewhere(shown: Shown, dashboard: Dashboard, project: str) -> None:
    event = claude_event(project, cost_usd=0.75) | {"event.name": "claude_code.api_request"}
    told = httpx.post(f"{dashboard.url}/v1/logs", json=logs(event, **{"mesh.project": project}), timeout=WAIT)
    assert told.status_code == 200, told.text
    shown.part("Usage")
    shown.page.get_by_role("button", name="project").click()
    shown.sees("outside the mesh")
    shown.sees(project)
    shown.sees("$0.75")


def test_usage_is_drawn(shown: Shown, dashboard: Dashboard) -> None:
    ask(dashboard, "chat")
    shown.part("Usage")
    for span in ("last day", "last month", "last hour"):
        shown.page.get_by_role("button", name=span).click()
        shown.page.locator(f"button[aria-pressed=true]:text-is('{span}')").wait_for()
        shown.page.locator("figure rect:not(.target)[height='64']").first.wait_for()
    shown.page.get_by_role("img", name="Requests").wait_for()


def test_it_is_used_by_keyboard(shown: Shown) -> None:
    shown.page.keyboard.press("Tab")
    assert shown.page.evaluate("document.activeElement.textContent") == "Skip to the content"
    shown.page.keyboard.press("Tab")
    shown.page.keyboard.press("Tab")
    shown.page.keyboard.press("Enter")
    shown.page.wait_for_function("document.title.endsWith('Requests')")


@pytest.mark.skipif(bool(missing("axe-core")), reason=missing("axe-core"))
@pytest.mark.parametrize(("scheme", "width"), [("light", 1200), ("dark", 390)])
def test_everyone_can_read_it(browser: Any, dashboard: Dashboard, scheme: str, width: int) -> None:
    """By axe's rules, and without scrolling sideways."""
    ask(dashboard, "fragile")
    size = {"width": width, "height": 850}
    found = Shown(browser, dashboard, f"#key={dashboard.key}", color_scheme=scheme, viewport=size)
    found.sees("pools")
    axe = (directory("axe-core") / "node_modules" / "axe-core" / "axe.min.js").read_text()
    PICTURES.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        found.part(part)
        for summary in found.page.locator("main summary").all()[:3]:
            summary.click()
        found.page.evaluate(axe)
        report = found.page.evaluate("axe.run(document, {rules: {region: {enabled: true}}})")
        assert [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in report["violations"]] == []
        assert found.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), part
        found.page.screenshot(path=PICTURES / f"{part.lower()}-{scheme}.png", full_page=True)
    found.close()
    assert found.said == []


def test_a_restart_is_told_and_survived_by_a_new_key(browser: Any, meshd: Any) -> None:
    daemon = meshd({**CONFIG, "proxy": {"enabled": True, "port": free_port()}})
    given = daemon.ask("GET", "/mesh/v1/dashboard")
    found = Shown(browser, Dashboard(daemon, given["url"], given["key"]), f"#key={given['key']}")
    found.sees("All pools")
    daemon.stop()
    found.sees("The daemon does not answer")
    daemon.start()
    found.sees("Run meshctl dashboard")
    found.page.goto(f"{given['url']}/#key={daemon.ask('GET', '/mesh/v1/dashboard')['key']}")
    found.page.reload()
    found.sees("All pools")
    found.close()
