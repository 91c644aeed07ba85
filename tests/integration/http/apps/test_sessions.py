"""A real daemon over HTTP: conversations of agents keep to one of a provider's keys, whatever the pool's strategy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.providers.credentials.keyed_provider import KeyedProvider
from tests.support.waiting import WAIT

KEYS = ("key-number-one", "key-number-two", "key-number-three")
NAMES = [f"conversation {number}" for number in range(12)]


@pytest.fixture(scope="module")
def provider() -> Iterator[KeyedProvider]:
    made = KeyedProvider(*KEYS, delay=0.0)
    yield made
    made.close()


@pytest.fixture(scope="module")
def url(module_meshd: Any, provider: KeyedProvider) -> str:
    daemon = module_meshd(
        {
            "providers": {"keyed": provider.provider(api_keys=list(KEYS))},
            "models": {"keyed.m": {"provider": "keyed", "model": "m", "capabilities": ["chat-completion"]}},
            "pools": {"chat": {"models": ["keyed.m"]}},
            "proxy": {"enabled": True, "port": "auto"},
            "discovery": {"health": {"enabled": False}, "sync": {"enabled": False}, "local": {"enabled": False}},
        }
    )
    address: str = daemon.status()["http"]["addresses"][0]
    return address


def ask(url: str, path: str, headers: dict[str, str] | None = None, **fields: Any) -> Any:
    turns = "input" if path == "/v1/responses" else "messages"
    limit = {"max_tokens": 50} if path == "/v1/messages" else {}
    body = {"model": "chat", turns: [{"role": "user", "content": "hi"}], **limit, **fields}
    answer = httpx.post(f"{url}{path}", json=body, headers=headers, timeout=WAIT)
    assert answer.status_code == 200, answer.text
    return answer.json()


def key_of(provider: KeyedProvider, url: str, path: str, *args: Any, **fields: Any) -> str:
    """The key that a request was sent with."""
    before = dict(provider.asked)
    ask(url, path, *args, **fields)
    [key] = [key for key in KEYS if provider.asked[key] > before.get(key, 0)]
    return key


@pytest.mark.parametrize(
    ("path", "header", "fields"),
    [
        ("/v1/messages", "x-claude-code-session-id", lambda name: {}),
        ("/v1/responses", "session_id", lambda name: {}),
        ("/v1/responses", "Thread-Id", lambda name: {}),
        ("/v1/chat/completions", "x-session-affinity", lambda name: {}),
        ("/v1/chat/completions", "", lambda name: {"prompt_cache_key": name}),
        ("/v1/messages", "", lambda name: {"metadata": {"user_id": f"user_a_account_b_session_{name}"}}),
    ],
)
def test_a_conversation_keeps_to_its_key(
    provider: KeyedProvider, url: str, path: str, header: str, fields: Any
) -> None:
    def key(name: str) -> str:
        return key_of(provider, url, path, {header: name} if header else {}, **fields(name))

    keys = [key(name) for name in NAMES]
    assert set(keys) == set(KEYS), "they are spread"
    assert [key(name) for name in NAMES] == keys


def test_others_take_the_keys_in_turn(provider: KeyedProvider, url: str) -> None:
    chat = "/v1/chat/completions"
    assert {key_of(provider, url, chat, user="everybody") for _ in range(6)} == set(KEYS)


def test_responses_that_follow_each_other_keep_to_one_key(provider: KeyedProvider, url: str) -> None:
    path, keys = "/v1/responses", []
    before = ask(url, path)["id"]
    for _ in range(5):
        asked = dict(provider.asked)
        before = ask(url, path, previous_response_id=before)["id"]
        keys += [key for key in KEYS if provider.asked[key] > asked.get(key, 0)]
    assert len(keys) == 5
    assert len(set(keys)) == 1


def test_a_key_that_is_refused_moves_only_its_own(provider: KeyedProvider, url: str) -> None:
    def keys() -> list[str]:
        found = []
        for name in NAMES:
            before = {key: provider.asked.get(key, 0) for key in KEYS}
            ask(url, "/v1/chat/completions", {"x-session-id": name})
            found.append(next(key for key in KEYS if key in provider.accepted and provider.asked[key] > before[key]))
        return found

    before = keys()
    provider.accepted.discard(KEYS[0])
    during = keys()
    assert KEYS[0] not in during
    assert [now for now, then in zip(during, before, strict=True) if then != KEYS[0]] == [
        then for then in before if then != KEYS[0]
    ]
    assert keys() == during
