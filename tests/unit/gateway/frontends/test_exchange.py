"""What an app asks for, as all front ends make it."""

from __future__ import annotations

from tests.support.gateway.asked import Asked


def test_headers_have_lower_names_and_the_first_of_several_spellings_counts() -> None:
    request = Asked(headers={"X-Mesh-Cache": "True", "Accept": "*/*", "x-mesh-cache": "false"})
    assert request.headers == {"x-mesh-cache": "True", "accept": "*/*"}
