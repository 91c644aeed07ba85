"""URLs as anybody may see them."""

from __future__ import annotations

import pytest

from meshd.config import MeshConfig
from meshd.connectors.providers.openai import OpenAIProvider
from meshd.core.text.redaction import MASK, redact, redact_url
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
        ("unix:/run/server.sock", "unix:/run/server.sock"),
        ("", ""),
    ],
)
def test_a_url_without_its_credentials(url, shown):
    assert redact_url(url) == shown


def test_a_token_alone_is_masked_where_a_configuration_is_shown():
    config = MeshConfig.from_dict({"providers": {"a": {"base_url": "http://sk-12345@host/v1"}}})
    assert config.redacted()["providers"]["a"]["base_url"] == f"http://{MASK}@host/v1"


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
