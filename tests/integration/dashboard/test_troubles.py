"""What is wrong, as the dashboard shows it: the daemon's troubles, and actions that fail."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from meshd.cli.show.standings import availability
from tests.conformance.install import directory, missing
from tests.integration.dashboard.conftest import CONFIG, Dashboard, Shown, dashboard_of, opened

POLLS = 5000  # ms, in which Overview is asked for more than once
BOTH = ("slow.chat", "echo.chat")


@pytest.fixture
def own(meshd: Any) -> Dashboard:
    """Of a daemon that a test may mark."""
    return dashboard_of(meshd(CONFIG))


@pytest.fixture
def page(browser: Any, own: Dashboard) -> Iterator[Shown]:
    yield from opened(browser, own)


def rotate_in_vain(page: Shown, own: Dashboard) -> Any:
    """The only other model goes while the question is open. Returns the pool."""
    pool = page.page.locator("details[data-keep='pool talk']")
    pool.locator("summary").click()
    pool.get_by_role("button", name="Rotate talk").click()
    own.daemon.ask("POST", "/mesh/v1/models/deactivate", {"id": "echo.chat", "reason": "gone"})
    page.yes()
    return pool


def test_a_refused_configuration_is_shown_and_its_end_too(page: Shown, own: Dashboard) -> None:
    own.daemon.write(json.dumps({**CONFIG, "nonsense": 1}, indent=1))
    refused = page.page.get_by_role("region", name="Notes").get_by_text("Configuration refused:")
    refused.filter(has_text="nonsense").wait_for()
    page.sees("The last change was refused")
    assert "[object" not in page.page.locator("main").inner_text()
    own.daemon.write(CONFIG)
    refused.wait_for(state="detached")


def test_why_an_action_failed_stays_next_to_it_until_it_is_dismissed(page: Shown, own: Dashboard) -> None:
    pool = rotate_in_vain(page, own)
    pool.get_by_role("alert").filter(has_text="has no other active model").wait_for()
    pool.get_by_role("button", name="Dismiss").focus()
    page.page.wait_for_timeout(POLLS)
    own.daemon.ask("POST", "/mesh/v1/models/activate", {"id": "echo.chat"})
    pool.get_by_role("button", name="Rotate talk").wait_for()  # it was drawn again
    assert pool.locator(".trouble").is_visible()
    assert page.page.evaluate("document.activeElement.textContent") == "Dismiss"
    assert "can answer" in page.page.locator("#summary").inner_text()
    pool.get_by_role("button", name="Dismiss").click()
    pool.locator(".trouble").wait_for(state="detached")
    assert page.page.evaluate("document.activeElement.textContent") == "Rotate talk"


def test_why_an_action_failed_goes_with_the_next_one(page: Shown, own: Dashboard) -> None:
    pool = rotate_in_vain(page, own)
    pool.locator(".trouble").wait_for()
    pool.get_by_role("button", name="Switch echo.chat on").click()
    page.yes()
    pool.locator(".trouble").wait_for(state="detached")


def test_a_switch_that_fails_says_so_below_its_row(page: Shown, own: Dashboard) -> None:
    pool = page.page.locator("details[data-keep='pool talk']")
    pool.locator("summary").click()
    body = json.dumps({"error": {"message": "Not today.", "code": "not_today"}})
    page.page.route("**/models/deactivate", lambda route: route.fulfill(status=409, body=body))
    pool.get_by_role("button", name="Switch slow.chat off").click()
    page.yes()
    page.page.locator("tr", has_text="slow.chat").locator("+ tr").get_by_role("alert").get_by_text(
        "Not today."
    ).wait_for()


def test_only_a_pool_that_stays_with_a_model_is_rotated(page: Shown) -> None:
    for name in ("talk", "picky"):
        page.page.locator(f"details[data-keep='pool {name}'] summary").click()
    page.page.get_by_role("button", name="Rotate talk").wait_for()
    assert page.page.get_by_role("button", name="Rotate picky").count() == 0


@pytest.mark.skipif(bool(missing("axe-core")), reason=missing("axe-core"))
def test_everyone_can_read_what_is_wrong(page: Shown, own: Dashboard) -> None:
    rotate_in_vain(page, own).get_by_role("alert").wait_for()
    page.page.evaluate((directory("axe-core") / "node_modules" / "axe-core" / "axe.min.js").read_text())
    report = page.page.evaluate("axe.run(document)")
    assert [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in report["violations"]] == []


def test_troubles_of_logs_state_and_parts_are_noted(page: Shown) -> None:
    def troubled(route: Any) -> None:
        answer = route.fetch()
        found = answer.json()
        found["state"] |= {"ok": False, "error": "no space left"}
        found["sinks"] = [{"sink": "file", "error": "cannot write", "dropped": 1234}, {"sink": "null", "dropped": 1}]
        found["actors"][0] |= {"alive": False, "last_error": "it fell"}
        found["secrets"] = {"stores": [{"error": "the vault is away"}], "kept": {"KEY": "no such file"}}
        route.fulfill(response=answer, json=found)

    page.page.route("**/mesh/v1/status", troubled)
    notes = page.page.get_by_role("region", name="Notes")
    for text in (
        "no space left", "Log file: cannot write", "Log file: 1,234 entries were dropped.", "is dead: it fell",
        "Log null: 1 entry was dropped.",
        "the vault is away", "Secret KEY cannot be read again",
    ):  # fmt: skip
        notes.get_by_text(text).wait_for()


PROVIDERS: dict[str, dict[str, Any]] = {
    "serving": {},
    "resting": {"available": False, "reason": "three failures"},
    "off": {"enabled": False, "available": False},
    "keyless": {"enabled": False, "available": False, "key": "missing"},
    "refused": {"key": "refused", "said": "No such key."},
    "wanting": {"available": False, "key": "wanted"},
    "mistaken": {"answering": "nothing"},
}


def test_why_a_provider_does_not_answer_is_told_as_meshctl_tells_it(page: Shown) -> None:
    rows: dict[str, Any] = {}

    def troubled(route: Any) -> None:
        answer = route.fetch()
        found = answer.json()
        rows.update({name: {**found["providers"][0], "name": name, **marks} for name, marks in PROVIDERS.items()})
        route.fulfill(response=answer, json=found | {"providers": list(rows.values())})

    page.page.route("**/mesh/v1/status", troubled)
    table = page.page.get_by_role("region", name="Providers")
    table.get_by_role("rowheader", name="mistaken").wait_for()
    for name, row in rows.items():
        shown = table.locator("tr", has=page.page.get_by_role("rowheader", name=name))
        assert availability(row)[0] in shown.locator("td").first.inner_text(), name
    assert table.get_by_text("No such key.").is_visible()


def test_the_kind_of_an_app_tells_whose_requests_are_counted(page: Shown) -> None:
    def counted(route: Any) -> None:
        answer = route.fetch()
        rows = {row["name"]: row for row in answer.json()["data"]}
        default = rows["default"]
        rows["root"] = {**default, "name": "root", "configured": False}
        rows["phone"] = {**rows["root"], "name": "phone", "account": "phone"}
        rows["boss"] = {**default, "name": "boss", "configured": True, "admin": True}
        route.fulfill(response=answer, json={"data": list(rows.values())})

    page.page.route("**/mesh/v1/apps", counted)
    apps = page.page.get_by_role("region", name="Apps")
    apps.get_by_role("rowheader", name="boss").wait_for()
    kinds = {row[0]: row[1] for row in (each.inner_text().split("\t") for each in apps.locator("tbody tr").all())}
    assert kinds["default"] == "all without an entry"
    assert (kinds["root"], kinds["phone"], kinds["boss"]) == ("default", "default, for itself", "admin")
