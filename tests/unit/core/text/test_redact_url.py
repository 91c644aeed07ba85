"""URLs as anybody may see them."""

from __future__ import annotations

import base64

import pytest

from meshd.config import MeshConfig
from meshd.connectors.providers.openai import OpenAIProvider
from meshd.core.text.redaction import MASK, redact, redact_url
from meshd.sdk.http.credentials import Credentials, secrets_of, without_keys
from meshd.sdk.provider import ProviderFailure, ProviderSettings


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://api.openai.com/v1", "https://api.openai.com/v1"),
        ("http://user:pass@host:8000/v1", f"http://{MASK}@host:8000/v1"),
        ("http://token@host", f"http://{MASK}@host"),
        ("http://a:b@c:d@host/v1", f"http://{MASK}@host/v1"),
        ("https://host/v1?key=1&api-version=2", f"https://host/v1?{MASK}"),
        ("https://host/v1?", "https://host/v1"),
        ("https://host/@me", "https://host/@me"),
        ("https://host:80/a/@me", "https://host:80/a/@me"),
        ("http://to/ken@host", f"http://{MASK}@host"),
        ("https://host/v1?key=1@2&more=3", f"https://{MASK}"),
        ("unix:/run/server.sock", "unix:/run/server.sock"),
        ("", ""),
    ],
)
def test_a_url_without_its_credentials(url, shown):
    assert redact_url(url) == shown


def test_a_token_alone_is_masked_where_a_configuration_is_shown():
    config = MeshConfig.from_dict({"providers": {"a": {"base_url": "http://sk-12345@host/v1"}}})
    assert config.redacted()["providers"]["a"]["base_url"] == f"http://{MASK}@host/v1"


ODD = "/?#@: \t%[]{}$\\\"'&=;,é"
"""What a password may have in it, though a URL would end or be refused there."""


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize(
    "around", ["hunter{}sesame", "{}huntersesame", "huntersesame{}", "hunter{0}{0}sesame", "9{}sesame"]
)
@pytest.mark.parametrize("user", ["ursula", "", "tok/en"])
def test_a_password_is_hidden_whatever_is_in_it(user: str, around: str, odd: str) -> None:
    password = around.format(odd)
    address = f"http://{user}:{password}@host/v1?key=query-{odd.strip('&')}sesame&api-version=1"
    words = ("hunter", "sesame")
    shown = MeshConfig.from_dict({"providers": {"a": {"base_url": address}}}).redacted()["providers"]["a"]["base_url"]
    for text in (redact_url(address), shown, redact_url(address.partition("?key")[0])):
        assert [word for word in words if word in text] == [], text
    settings = ProviderSettings("p", "c", base_url=f"http://{user}:{password}@host/v1")
    known = Credentials(secrets_of(settings))
    assert "sesame" not in known.text(f"refused: {password}")
    assert "sesame" not in known.text(base64.b64encode(f"{user}:{password}".encode()).decode())
    if not set(odd) & set(" \t\"'"):
        assert "sesame" not in without_keys(f"cannot reach http://ursula:x{password}@host/v1 now")


@pytest.mark.parametrize("text", ["http://h:80/x/me@there", "http://h:8000?a@b", "a://b c@d", "http://h/a:b@c"])
def test_other_signs_are_no_password(text: str) -> None:
    assert without_keys(text) == text


FIELDS = {
    "a header": {"headers": {"X-Plain": "{}"}},
    "a part of one": {"headers": {"X-Plain": "Mine {} too"}},
    "a password": {"base_url": "http://ursula:{}@host/v1"},
    "a token": {"base_url": "http://{}@host/v1"},
    "a query": {"base_url": "http://host/v1?sig={}"},
    "an address": {"base_url": "${{env:WHOLE}}"},
    "a key": {"api_key": "{}"},
    "a part of one's key": {"api_key": "Bearer {}"},
}


@pytest.mark.parametrize("reference", ["${env:WORD}", "${env:NONE:-plainly spoken}", "${env:NONE:-${env:WORD}}"])
@pytest.mark.parametrize("field", FIELDS)
def test_a_variable_of_any_name_is_known_where_its_field_holds_a_secret(field: str, reference: str) -> None:
    environ = {"WORD": "plainly spoken", "WHOLE": "http://a:plainly spoken@host"}
    section = {
        key: {name: text.format(reference) for name, text in value.items()}
        if isinstance(value, dict)
        else value.format(reference)
        for key, value in FIELDS[field].items()
    }
    config = MeshConfig.from_dict({"providers": {"p": section}}, environ=environ)
    assert "plainly spoken" in config.secrets_of_provider("p")
    assert "plainly spoken" in config.secret_values()


def test_a_variable_elsewhere_is_no_secret() -> None:
    section = {"base_url": "http://${env:WORD}/v1/${env:WORD}", "headers": {"User-Agent": "${env:WORD}"}}
    config = MeshConfig.from_dict({"providers": {"p": section}}, environ={"WORD": "plainly"})
    assert config.secret_values() == set()


async def _refusal(provider: OpenAIProvider) -> str:
    try:
        await provider.probe(5.0)
    except ProviderFailure as failure:
        return f"{failure.message} {failure.body!r}"
    finally:
        await provider.aclose()
    raise AssertionError("it answered")


@pytest.mark.parametrize("status", ["404 Not Found", "500 Oops"])
def test_errors_of_the_connector_hold_no_credential(status):
    import asyncio

    async def main() -> str:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            said = b"you came as correcthorse"
            head = f"HTTP/1.1 {status}\r\nContent-Length: {len(said)}\r\nConnection: close\r\n\r\n"
            writer.write(head.encode() + said)
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        url = f"http://somebody:correcthorse@127.0.0.1:{port}/v1?sig=querysecret"
        async with server:
            return await _refusal(OpenAIProvider(ProviderSettings("p", "c", base_url=url)))

    said = asyncio.run(main())
    assert "correcthorse" not in said
    assert "somebody" not in said
    assert "querysecret" not in said


def test_an_address_that_cannot_be_used_is_shown_without_its_credential():
    with pytest.raises(ValueError, match="base_url") as caught:
        OpenAIProvider(ProviderSettings("p", "c", base_url="ftp://user:correcthorse@host"))
    assert "correcthorse" not in str(caught.value)


def test_a_models_process_gets_no_keys():
    from meshd.connectors.providers.embedded.process import child_environment

    environ = {"PATH": "/bin", "LC_ALL": "C", "OMP_NUM_THREADS": "2", "OPENAI_API_KEY": "sk", "AWS_SECRET": "x"}
    environ |= {"PYTHONPATH": "/x", "HOME": "/h", "XPATH": "no", "LD_LIBRARY_PATH": "/l"}
    assert set(child_environment(environ)) == {
        "PATH",
        "LC_ALL",
        "OMP_NUM_THREADS",
        "PYTHONPATH",
        "HOME",
        "LD_LIBRARY_PATH",
    }


@pytest.mark.parametrize("key", ["max_output_tokens", "tokens", "max_tokens", "maxTokens"])
def test_a_number_of_tokens_is_shown_and_a_numeric_password_is_not(key: str) -> None:
    shown = redact({"models": {"a": {"constraints": {key: 100}}}, "providers": {"p": {"api_key": 12345, "token": 9}}})
    assert shown["models"]["a"]["constraints"][key] == 100
    assert shown["providers"]["p"] == {"api_key": "•••", "token": "•••"}
