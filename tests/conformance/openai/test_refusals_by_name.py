"""What programs tell a provider's refusals apart by reaches them: `error.code == "insufficient_quota"` and its kin."""

from __future__ import annotations

from typing import Any

import openai
import pytest

import modelmesh
from tests.support.providers.servers.local_server import Handler, LocalServer

SAID = [{"role": "user", "content": "hi"}]
REFUSALS: dict[str, tuple[int, Any]] = {
    "key": (401, {"error": {"message": "no", "type": "invalid_request_error", "param": None, "code": "key_expired"}}),
    "region": (403, {"error": {"message": "no", "type": "forbidden", "param": "model", "code": "unsupported_country"}}),
    "quota": (429, {"error": {"message": "Check your plan", "type": "billing", "code": "insufficient_quota"}}),
    "balance": (402, {"error": {"message": "Insufficient Balance"}}),
    "rate": (429, {"error": {"message": "slow down", "type": "tokens", "param": "input", "code": "tpm_reached"}}),
}


class Refusing(Handler):
    def do_POST(self) -> None:
        self.body()
        status, document = REFUSALS[self.path.split("/")[1]]
        self.send(status, document, {"retry-after": "0.01"} if status == 429 else None)


@pytest.fixture(scope="module")
def server():
    made = LocalServer(Refusing)
    yield made
    made.close()


@pytest.fixture(scope="module")
def socket(server, module_meshd):
    address = {name: server.url.replace("/v1", f"/{name}/v1") for name in REFUSALS}
    connector = {"connector": "openai-compatible.v1", "api_key": "EMPTY"}
    chat = {"model": "m", "capabilities": ["chat-completion"]}
    daemon = module_meshd(
        {
            "providers": {name: {**connector, "base_url": address[name]} for name in REFUSALS},
            "models": {f"{name}.m": {**chat, "provider": name} for name in REFUSALS},
            "discovery": {"local": {"enabled": False}, "health": {"enabled": False}},
        }
    )
    return str(daemon.socket)


def told(client: Any, model: str) -> Any:
    with pytest.raises(openai.APIStatusError) as caught:
        client.chat.completions.create(model=model, messages=SAID)
    error = caught.value
    return error.status_code, error.code, error.type, error.param, error.body["code"]


@pytest.mark.parametrize("name", ["key", "region", "quota", "rate"])
def test_the_providers_own_code_type_and_param(server, socket, name):
    with openai.OpenAI(base_url=server.url.replace("/v1", f"/{name}/v1"), api_key="-", max_retries=0) as sdk:
        theirs = told(sdk, "m")
    with modelmesh.OpenAIClient(socket, max_retries=0) as thin:
        assert told(thin, f"{name}.m") == theirs


def test_a_quota_that_is_used_up_has_openais_name_where_the_provider_gives_none(socket):
    with modelmesh.OpenAIClient(socket, max_retries=0) as thin:
        assert told(thin, "balance.m")[:2] == (429, "insufficient_quota")
