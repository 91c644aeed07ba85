"""Masks personal data in texts by rules: addresses and numbers that have a form of their own.

Owns: the forms, and the checks of numbers that look alike (Luhn, IBAN). Names and places have no form, so no rule finds
them.
Must never: take time that grows faster than the text (`tests/unit/core/text/test_linear_time.py`).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable

_EMAIL = re.compile(r"(?<![\w.%+-])[\w.%+-]{1,64}+@(?:[\w-]{1,63}+\.){1,8}[^\W\d_]{2,24}(?![\w-])")
_IPV4 = re.compile(r"(?<![\w.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?!\w|\.\d)")
_IPV6 = re.compile(r"(?<![\w:.])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?![\w:])")
_MAC = re.compile(r"(?<![\w:-])[0-9A-Fa-f]{2}([:-])(?:[0-9A-Fa-f]{2}\1){4}[0-9A-Fa-f]{2}(?![\w:-])")
_CARD = re.compile(
    r"(?<![\d.])(?:\d{13,19}|\d{4}([ -])\d{4}\1\d{4}\1\d{1,4}(?:\1\d{1,3})?|\d{4}([ -])\d{6}\2\d{4,5})(?!\d|\.\d)"
)
_SSN = re.compile(r"(?<![\w-])(?!000|666|9)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\w-])")
_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}\d{2}(?:[ -]?[A-Za-z0-9]){11,30}")
_PHONE = re.compile(
    r"(?<![\w+.])(?<!\d[ -])(?:"
    r"(?:\+|00)[1-9](?:[ ()/.-]{0,2}\d){6,14}"  # with its country
    r"|(?:\(0[1-9]\d{0,4}\)|0[1-9]\d{0,4})[ /-]{1,3}\d(?:[ -]?\d){3,10}"  # as most countries write it
    r"|(?:1[ .-])?(?:\(\d{3}\) ?|\d{3}[ .-])\d{3}[ .-]\d{4}"  # as North America does
    r")(?!\w|[.-]\d)"
)
_DIGITS_OF_PHONES = range(9, 16)
_DIGITS_OF_CARDS = {2: (16,), 3: (14, 15, 16), 4: (13, 16, 19), 5: (16, 17, 18, 19), 6: (16, 17, 18, 19)}
"""By the first digit."""

_IBANS = (
    "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DK18 DO28 EE20 EG29 ES24 "
    "FI18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 "
    "LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MR27 MT31 MU30 NL18 NO15 PK24 PL28 PS29 PT25 QA29 RO24 RS22 "
    "SA24 SC31 SE24 SI19 SK24 SM27 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20"
)
_IBAN_LENGTHS = {word[:2]: int(word[2:]) for word in _IBANS.split()}
"""Country → characters of its account numbers."""


def mask(text: str, kinds: Iterable[str]) -> str:
    """The text with `[email]`, `[phone]` and the like in place of such data. kinds: the names of `RULES`."""
    wanted = frozenset(kinds)
    for kind, rule in RULES.items():
        if kind in wanted:
            text = rule(text, f"[{kind}]")
    return text


def _emails(text: str, mask: str) -> str:
    return _EMAIL.sub(mask, text) if "@" in text else text


def _ips(text: str, mask: str) -> str:
    text = _IPV4.sub(mask, text) if "." in text else text
    return _masked(_IPV6, text, mask, _is_ipv6) if ":" in text else text


def _macs(text: str, mask: str) -> str:
    return _MAC.sub(mask, text)


def _cards(text: str, mask: str) -> str:
    return _masked(_CARD, text, mask, _is_card)


def _ssns(text: str, mask: str) -> str:
    return _SSN.sub(mask, text) if "-" in text else text


def _ibans(text: str, mask: str) -> str:
    return _masked(_IBAN, text, mask, _length_of_iban)


def _phones(text: str, mask: str) -> str:
    return _masked(_PHONE, text, mask, _is_phone)


RULES: dict[str, Callable[[str, str], str]] = {
    "email": _emails,
    "mac": _macs,
    "ip": _ips,
    "iban": _ibans,
    "card": _cards,
    "ssn": _ssns,
    "phone": _phones,
}
"""In the order in which they are applied: what one masks, the next ones do not see."""


def _masked(pattern: re.Pattern[str], text: str, mask: str, judge: Callable[[str], int]) -> str:
    """judge: how many characters of what was found are to be masked; 0: none. The search continues inside of what is
    not masked."""
    parts: list[str] = []
    done = position = 0
    while (found := pattern.search(text, position)) is not None:
        size = judge(found[0])
        if not size:
            position = found.start() + 1
            continue
        parts += [text[done : found.start()], mask]
        done = position = found.start() + size
    return "".join([*parts, text[done:]]) if parts else text


def _is_ipv6(text: str) -> int:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return 0
    return len(text) if sum(character != ":" for character in text) > 1 else 0


def _is_card(text: str) -> int:
    digits = [int(character) for character in text if character.isdigit()]
    if len(digits) not in _DIGITS_OF_CARDS.get(digits[0], ()):
        return 0
    doubled = (2 * digit - 9 * (digit > 4) for digit in digits[-2::-2])
    return len(text) if (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0 else 0


def _is_phone(text: str) -> int:
    return len(text) if sum(character.isdigit() for character in text) in _DIGITS_OF_PHONES else 0


def _length_of_iban(text: str) -> int:
    """It may be followed by words."""
    wanted = _IBAN_LENGTHS.get(text[:2].upper(), 0)
    compact, size = "", 0
    for character in text:
        if len(compact) == wanted:
            break
        size += 1
        if character.isalnum():
            compact += character.upper()
    if not wanted or len(compact) < wanted or not compact.isascii():
        return 0
    number = "".join(str(int(character, 36)) for character in compact[4:] + compact[:4])
    follows = text[size : size + 1]
    return size if int(number) % 97 == 1 and not follows.isalnum() else 0
