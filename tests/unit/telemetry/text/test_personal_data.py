"""Personal data that has a form: found however it is written, and told apart from what only looks like it."""

from __future__ import annotations

from typing import get_args

import pytest

from meshd.config.schema.observability import PersonalKind
from meshd.telemetry.text.personal_data import RULES, mask

FOUND = {
    "email": ["ada@example.org", "a.d-a+x%1@mail.sub.example.co.uk", "jürgen@müller.de", "A_1@b-c.info"],
    "phone": [
        "+49 30 1234567", "+1 (555) 123-4567", "+442079460958", "0049-30-1234567", "030/1234567", "(030) 123 45 67",
        "089 123456789", "555-123-4567", "(555) 123-4567", "1-800-555-0199", "+33 1 23 45 67 89", "0171 1234567",
    ],
    "iban": ["DE89 3704 0044 0532 0130 00", "DE89370400440532013000",
        "gb29 nwbk 6016 1331 9268 19", "NO93-8601-1117-947"],
    "card": [
        "4111 1111 1111 1111", "4111111111111111", "5500-0000-0000-0004", "3782 822463 10005", "378282246310005",
        "6011000990139424", "3530111333300000", "6304 0000 0000 0000",
    ],
    "ip": [
        "192.168.0.1", "8.8.8.8", "2001:db8::1", "fe80::1ff:fe23:4567:890a",
        "2001:0db8:85a3:0000:0000:8a2e:0370:7334", "::ffff",
    ],
    "mac": ["00:1A:2b:3c:4D:5e", "00-1A-2B-3C-4D-5E"],
    "ssn": ["123-45-6789"],
}  # fmt: skip

LOOKALIKES = [
    "2026-11-28", "28.11.2026", "01-02-2026", "12:30:45", "1.5", "3.14159265358979", "version 1.2.3", "$1,234,567.89",
    "std::vector", "a @ b", "me@localhost", "@decorator", "4111 1111 1111 1112", "1234567890123456", "12345678",
    "DE00 3704 0044 0532 0130 00", "ABCD 1234 5678", "000-12-3456", "order 20261128123456", "0.1.2", "10:20", "a:b:c",
    "0x1f", "100 200 300 400", "1e-10", "https://example.org/a", "256.1.1.1", "0 1 2 3 4", "page 012", "::",
    "123e4567-e89b-12d3-a456-426614174000", "d41d8cd98f00b204e9800998ecf8427e",
]  # fmt: skip


@pytest.mark.parametrize("kind", FOUND)
@pytest.mark.parametrize(
    "around", ["{}", "call {} now", "({})", '"{}"', "is {}.", "{}, and", "x={};", "<{}>", "\n{}\n"]
)
def test_what_is_found(kind: str, around: str) -> None:
    for text in FOUND[kind]:
        assert mask(around.format(text), RULES) == around.format(f"[{kind}]"), text


@pytest.mark.parametrize("text", LOOKALIKES)
def test_what_only_looks_like_it_stays(text: str) -> None:
    for around in ("{}", "see {} here", "{}."):
        assert mask(around.format(text), RULES) == around.format(text)


def test_several_in_a_row() -> None:
    text = "1 4111 1111 1111 1111 NR12 3456 7890 1234 DE89 3704 0044 0532 0130 00 ada@a.org,bob@b.org 10.0.0.1/10.0.0.2"
    assert mask(text, RULES) == "1 [card] NR12 3456 7890 1234 [iban] [email],[email] [ip]/[ip]"


def test_only_the_kinds_that_are_wanted() -> None:
    assert mask("ada@a.org at 10.0.0.1", ["ip"]) == "ada@a.org at [ip]"
    assert mask("ada@a.org", []) == "ada@a.org"
    assert set(RULES) == set(get_args(PersonalKind))
