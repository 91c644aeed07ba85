"""Vertex AI: the same format at another address, with tokens instead of a key."""

from __future__ import annotations

import pytest

from meshd.connectors.providers.http_requests import HttpRequests
from meshd.formats.gemini.format import GEMINI
from meshd.operations.chat import CHAT
from meshd.sdk.provider import ProviderCall
from tests.support.config.compiling import compiled


@pytest.fixture(autouse=True)
def project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "proj-1")


def test_the_project_is_in_the_path_and_there_is_no_key() -> None:
    made = compiled({"providers": {"v": {"connector": "google.vertex.v1"}}, "models": {"v.gemini-2.5-flash": {}}})
    settings = made.providers["v"]
    assert settings.auth_method == "service_account"
    requests = HttpRequests(settings, GEMINI.provider(settings))
    target = requests.target(ProviderCall(CHAT, "gemini-2.5-flash", {}, stream=True))
    assert target is not None
    assert str(target.url) == (
        "https://aiplatform.googleapis.com/v1/projects/proj-1/locations/global/publishers/google"
        "/models/gemini-2.5-flash:streamGenerateContent?alt=sse"
    )
    assert not {"x-goog-api-key", "authorization"} & {name.lower() for name in requests.headers}
