"""Every regular expression that text from outside meets takes time that grows with the text's length, no faster."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
import pytest

from meshd.cli.screen import cells
from meshd.core.text.redaction import is_secret_key, mask_secret, redact, redact_url
from meshd.formats.errors import error_answers
from meshd.formats.errors.response_failures import failure_from_response
from meshd.formats.openai.format import OPENAI
from meshd.host.plain_text import harmless, in_json, one_line, printable, stripped
from meshd.operations.chat import CHAT
from meshd.sdk.http.credentials import Credentials, secrets_of, without_keys
from meshd.sdk.provider import ProviderSettings
from meshd.telemetry.text.personal_data import RULES
from meshd.telemetry.text.redaction import Redactor

SHORT, TIMES = 4_000, 8
MOST = 4.0 * TIMES  # a quadratic one takes TIMES² as long
FASTEST = 0.01  # s: less is noise

PIECES = (
    "a", "A1", "0", " ", "\n", "\t", "-", "_", ".", "a-", "a.", "eyJ", "eyJ-", "-eyJaaaaaaaa", "eyJaaaaaaaa.", "sk-",
    "sk-a ", "key-", "AKIA", "secret ", "secret=", "secret : ", "x-api-key", '"password":', "authorization ",
    "Authorization: bearer ",
    "bearer  ", "basic\n", "://", "://a:", "://a:/", "://a@", "://${", "${", "${env:", "${env:a", "${${a}",
    "?a=${", "&a=", "@", "/@", "://a:b", "a:b@", "%41", "%", "\\u0041", "\\", "&#65;",
    "&#", "<a", "< ", "<script ", "<title>", "error ", "quota ", "try again ", "wait 1", "1s", "1.", '"', "'", "{", "[",
    "data:a", "a@", "@a.", "a@a.", "a@b.cd ", "1", "1 ", "1-", "1.", "1:", "a:", "::", "(0", "(0)", "+1", "+1 ", "00",
    "4111", "4111 ", "4111-1111-1111-1111-", "DE89", "DE89 ", "NR12 3456 7890 1234 ", "0:", "00:", "00-", "123-45-",
    "555-555-",
    "; ", "\x1b[", "\u202e", "é", "known", "know", "knownsecretknownsecre",
)  # fmt: skip
KNOWN = ("knownsecretknownsecret", "know%41nsecret", *(f"known{number:04d}secret" for number in range(60)))
CREDENTIALS, REDACTOR = Credentials(KNOWN), Redactor(KNOWN)


def _settings(text: str) -> Any:
    return secrets_of(ProviderSettings("p", "c", headers={"x": text}, base_url=f"http://{text}@h/{text}?a={text}"))


def _body(text: str) -> Any:
    parts = [{"type": "image_url", "image_url": {"url": f"{text}"}}, {"type": "text", "text": text}]
    body = {"model": text, "stop": text, "messages": [{"role": "user", "content": parts}]}
    return OPENAI.app.read(CHAT, msgspec.json.encode(body))


def _error(text: str) -> Any:
    for body in (text.encode(), msgspec.json.encode({"error": {"message": text, "code": text, "type": text}})):
        failure_from_response(500, body, [(b"retry-after", text.encode())], "http://h/v1")


READERS: dict[str, Callable[[str], Any]] = {
    "what looks like a key": without_keys,
    "a provider's secrets": CREDENTIALS.text,
    "known secrets": REDACTOR.text,
    "settings": _settings,
    "an address": redact_url,
    "an address that begins so": lambda text: redact_url(f"http://{text}"),
    "a configuration": lambda text: redact([text, f"http://{text}", f"http://a:{text}@h/?a={text}"]),
    "a literal secret": mask_secret,
    "a key of a configuration": is_secret_key,
    "harmless": harmless,
    "one line": one_line,
    "stripped": stripped,
    "a name": printable,
    "JSON": in_json,
    "wrapped": lambda text: cells.wrapped(text.replace("\n", " "), 80),
    "a body": _body,
    "an error": _error,
    **{f"personal data: {kind}": partial(rule, mask="") for kind, rule in RULES.items()},
    "an error's line": lambda text: error_answers.of_words(text.encode()),
}


def _took(read: Callable[[str], Any], text: str) -> float:
    began = time.process_time()
    read(text)
    return time.process_time() - began


@pytest.mark.parametrize("reader", READERS)
def test_time_grows_with_the_length(reader: str) -> None:
    read = READERS[reader]
    for piece in PIECES:
        for end in ("", "!\x01"):
            short, long = ((piece * size)[:size] + end for size in (SHORT, SHORT * TIMES))
            once, more = _took(read, short), _took(read, long)
            for _ in range(3):  # what else runs on the machine may have disturbed one of them
                if more <= MOST * max(once, FASTEST):
                    break
                once, more = max(once, _took(read, short)), min(more, _took(read, long))
            assert more <= MOST * max(once, FASTEST), (piece, end, once, more)


def test_a_long_label_is_a_moment() -> None:
    """400 kB held all requests for 12 s."""
    assert _took(REDACTOR.text, "eyJaaaaaaaa-" * 34_000) < 1.0
    assert len(REDACTOR.text("x" * 10**6)) < 70_000
    cut = REDACTOR.text("x" * 65_525 + " " + KNOWN[0])
    assert "knownsecret" not in cut
