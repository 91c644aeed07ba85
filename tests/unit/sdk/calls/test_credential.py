"""An app's own key: where it is found, how it is given to a provider, and that it does not show."""

from __future__ import annotations

import pytest

from meshd.sdk.calls.credential import Credential, taken_from

MESH = "mesh-" + "a" * 43


def test_it_is_taken_out_of_the_headers() -> None:
    headers = {"authorization": "Bearer k3y-k3y", "x-api-key": "other", "accept": "x"}
    found = taken_from(headers)
    assert found is not None
    assert headers == {"accept": "x"}
    assert set(found.secrets) == {"Bearer k3y-k3y", "k3y-k3y", "other"}
    assert "k3y" not in f"{found!r} {found} {found.digest}"


@pytest.mark.parametrize(
    "value", ["", " ", "Bearer ", f"Bearer {MESH}", MESH, f"bearer  {MESH} ", "k\u00e9y", "a\x00b"]
)
def test_what_is_none(value: str) -> None:
    headers = {"authorization": value}
    assert taken_from(headers) is None
    assert headers == {}


def test_a_word_in_place_of_a_key_is_none() -> None:
    assert taken_from({"authorization": "Bearer EMPTY"}, lambda key: key == "EMPTY") is None


def test_a_digest_is_of_one_key() -> None:
    one, same, other = (Credential({"x-api-key": key}) for key in ("a", "a", "b"))
    assert one.digest == same.digest != other.digest
    assert one.digest != Credential({"authorization": "a"}).digest


@pytest.mark.parametrize(
    ("values", "app", "given"),
    [
        ({"x-api-key": "a"}, "anthropic", ("x-api-key", "a")),
        ({"authorization": "Bearer a"}, "anthropic", ("authorization", "Bearer a")),
        ({"authorization": "Bearer a", "x-api-key": "b"}, "anthropic", ("x-api-key", "b")),
        ({"authorization": "Bearer a", "x-api-key": "b"}, "openai", ("x-api-key", "b")),
        ({"authorization": "Bearer a"}, "openai", ("", "a")),
        ({"authorization": "Basic a"}, "openai", ("", "Basic a")),
        ({"x-goog-api-key": "a"}, "anthropic", ("", "a")),
        ({"authorization": "Bearer a"}, "", ("authorization", "Bearer a")),
    ],
)
def test_it_goes_on_as_it_came_within_a_format(values: dict[str, str], app: str, given: tuple[str, str]) -> None:
    credential = Credential(values).of_format(app)
    assert credential.for_provider("anthropic", "x-api-key", ("x-api-key", "authorization")) == given
