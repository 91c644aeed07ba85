"""What a report of the health monitor changes."""

from __future__ import annotations

import pytest

from meshd import messages
from tests.support.gateway.builder import Gateway


@pytest.mark.parametrize(("reload", "expected"), [(True, [("KEY",)]), (False, [])])
async def test_a_provider_that_is_back_has_its_secrets_resolved_again(reload: bool, expected: list[str]) -> None:
    gateway = Gateway(config={"secrets": {"reload_on_rotation": reload}}, secret_names={"a": ("KEY",)})
    gateway.runtime.state.provider("a").availability.standby = True
    gateway.router.health_reports.take(messages.HealthReport("a", True, 1.0, 0.1))
    assert not gateway.told_of(messages.RefreshSecret)
    report = messages.HealthReport("a", True, 1.0, 0.1, probed=True, answered=True)
    gateway.router.health_reports.take(report)
    assert [each.names for each in gateway.told_of(messages.RefreshSecret)] == expected
