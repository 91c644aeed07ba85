"""The report of a month in Chromium: readable by everyone, on any screen, without a network."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from meshd.cli.report.page import page
from tests.conformance.install import directory, missing
from tests.support.months import november

PICTURES = Path(__file__).parents[3] / ".cache" / "screenshots"


@pytest.mark.skipif(bool(missing("axe-core")), reason=missing("axe-core"))
@pytest.mark.parametrize(("scheme", "width"), [("light", 1200), ("dark", 390)])
def test_everyone_can_read_it(browser: Any, tmp_path: Path, scheme: str, width: int) -> None:
    """By axe's rules, without scrolling sideways, and with no request to anywhere."""
    file = tmp_path / "report.html"
    file.write_text(page(november(datetime(2026, 11, 28, 20, tzinfo=UTC))), encoding="utf-8")
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 850})
    shown, asked, said = context.new_page(), [], []
    shown.on("request", lambda request: asked.append(request.url))
    shown.on("pageerror", lambda error: said.append(str(error)))
    shown.on("dialog", lambda dialog: said.append(dialog.message))
    shown.on("console", lambda message: said.append(message.text))
    shown.goto(file.as_uri())
    for summary in shown.locator("summary").all():
        summary.click()
    shown.evaluate((directory("axe-core") / "node_modules" / "axe-core" / "axe.min.js").read_text())
    found = shown.evaluate("axe.run(document, {rules: {region: {enabled: true}}})")
    assert [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found["violations"]] == []
    assert shown.evaluate("document.documentElement.scrollWidth <= innerWidth")
    PICTURES.mkdir(parents=True, exist_ok=True)
    shown.screenshot(path=PICTURES / f"report-{scheme}.png", full_page=True)
    assert asked == [file.as_uri()]
    assert said == []
    context.close()
