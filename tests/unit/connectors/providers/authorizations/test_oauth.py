"""Tokens of a real token server: when they are asked for, kept, renewed and refused, and what is told of a failure."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshd.connectors.providers.authorizations.fetching import Answered
from meshd.connectors.providers.authorizations.oauth import OAuth, read_token
from meshd.connectors.providers.authorizations.tokens import NoToken, Tokens
from meshd.connectors.providers.http_provider import HttpProvider
from meshd.host.plain_text import one_line
from meshd.operations.chat import CHAT
from meshd.sdk import FailureKind, ProviderCall, ProviderFailure, ProviderSettings
from meshd.sdk.calls.passing import RawRequest
from meshd.sdk.http.authorization import Unauthorized
from tests.support.formats.bodies import split
from tests.support.providers.credentials.token_server import CLIENT, SECRET, TokenServer
from tests.support.waiting import until

ASKED = Unauthorized("POST", "http://api.test/v1", {}, b"")


@pytest.fixture
def server() -> Iterator[TokenServer]:
    made = TokenServer()
    yield made
    made.close()


def settings(server: TokenServer, auth: dict[str, Any], **more: Any) -> ProviderSettings:
    base = f"http://127.0.0.1:{server.port}/v1"
    return ProviderSettings("p", "c", base_url=base, auth_method="oauth", auth=auth, **more)


@contextlib.asynccontextmanager
async def provider(server: TokenServer, **auth: Any) -> AsyncIterator[HttpProvider]:
    made = HttpProvider(settings(server, server.auth(**auth)))
    try:
        yield made
    finally:
        await made.aclose()


async def ask(made: HttpProvider, *, stream: bool = False) -> None:
    fields = split(f'{{"messages": [{{"role": "user", "content": "x"}}], "stream": {str(stream).lower()}}}')
    call = ProviderCall(CHAT, "m", fields, stream=stream)
    if stream:
        assert [event async for event in made.stream(call)]
    else:
        assert b"hi" in (await made.execute(call)).body


async def asked_for(server: TokenServer, count: int) -> None:
    await asyncio.to_thread(until, lambda: len(server.forms) >= count, what="a request for a token")


async def renewed(tokens: Tokens, before: Any) -> Any:
    """What it gives once that is another token."""
    for _ in range(2000):
        if (later := await tokens.headers(ASKED)) != before:
            return later
        await asyncio.sleep(0.005)
    raise AssertionError("it was not renewed")


# -- what is asked ------------------------------------------------------------------------------------


async def test_one_token_serves_every_kind_of_request(server: TokenServer) -> None:
    async with provider(server, scopes=("a", "b c"), audience="api://x") as made:
        await ask(made)
        await ask(made, stream=True)
        assert [model.id for model in await made.list_models()] == ["m"]
        assert await made.probe(5.0) >= 0
        passed = await made.forward(RawRequest("POST", "files/1", "", {}, b"x" * 10, 5.0))
        assert (passed.status, await passed.more()) == (200, b'{"had": 10}')
        passed.close()
    asked = {"grant_type": "client_credentials", "scope": "a b c", "audience": "api://x"}
    assert server.forms == [{**asked, "basic_id": CLIENT, "basic_secret": SECRET}]
    assert set(server.seen) == {"t0ken-1-abcdefghijkl"}


async def test_a_client_may_name_itself_in_the_form(server: TokenServer) -> None:
    async with provider(server, client_auth="post") as made:
        await ask(made)
    assert server.forms == [{"grant_type": "client_credentials", "client_id": CLIENT, "client_secret": SECRET}]


async def test_a_public_client_sends_its_refresh_token(server: TokenServer) -> None:
    async with provider(server, client_secret=None, refresh_token="r3fresh-0") as made:
        await ask(made)
    assert server.forms == [{"grant_type": "refresh_token", "refresh_token": "r3fresh-0", "client_id": CLIENT}]


# -- renewal ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
async def test_a_refused_token_is_replaced_and_the_request_sent_once_more(server: TokenServer, stream: bool) -> None:
    async with provider(server) as made:
        await ask(made)
        server.revoke()
        await ask(made, stream=stream)
        server.revoke()
        await made.list_models()
        server.revoke()
        passed = await made.forward(RawRequest("GET", "files/1", "", {}, b"", 5.0))
        assert passed.status == 200
        passed.close()
    assert len(server.forms) == 4


async def test_a_provider_that_refuses_every_token_is_asked_twice(server: TokenServer) -> None:
    async with provider(server) as made:
        server.accepted = type("Nothing", (set,), {"add": lambda self, token: None})()
        with pytest.raises(ProviderFailure) as refused:
            await ask(made)
        assert (refused.value.kind, len(server.seen)) == (FailureKind.AUTHENTICATION, 2)
        assert "t0ken" not in refused.value.message
        assert b"t0ken" not in refused.value.body


async def test_many_requests_share_one_renewal_and_late_refusals_drop_no_new_token(server: TokenServer) -> None:
    async with provider(server) as made:
        server.delay = 0.02
        await asyncio.gather(*(ask(made) for _ in range(20)))
        assert len(server.forms) == 1
        server.revoke()
        await asyncio.gather(*(ask(made) for _ in range(20)))
    assert len(server.forms) == 2
    assert server.most_at_once == 1


@pytest.mark.parametrize("life", [0, -5, "0"])
async def test_a_token_that_ends_at_once_serves_those_who_waited(server: TokenServer, life: Any) -> None:
    server.life = life
    async with provider(server) as made:
        await ask(made)
        await ask(made)
    assert len(server.forms) == 2


async def test_a_token_is_renewed_before_its_end_and_no_request_waits(server: TokenServer) -> None:
    now, learnt = [1000.0], list[str]()
    tokens = Tokens(OAuth(settings(server, server.auth()), learnt.extend), (), learnt.extend, lambda: now[0])
    first = await tokens.headers(ASKED)
    now[0] += 3539
    assert await tokens.headers(ASKED) == first
    assert len(server.forms) == 1
    now[0] += 2
    assert await tokens.headers(ASKED) == first, "it is renewed meanwhile"
    await asked_for(server, 2)
    later = await renewed(tokens, first)
    assert len(server.forms) == 2
    server.instead = 503, {}
    now[0] += 3590
    assert await tokens.headers(ASKED) == later, "a renewal that fails takes nothing away"
    now[0] += 20
    with pytest.raises(ProviderFailure, match="answered 503"):
        await tokens.headers(ASKED)
    await tokens.aclose()
    assert learnt == ["t0ken-1-abcdefghijkl", "t0ken-2-abcdefghijkl"]


@pytest.mark.parametrize("life", [None, True, [1], "soon", "1e999", 1e300])
async def test_an_odd_life_is_the_usual_one(server: TokenServer, life: Any) -> None:
    server.life = life
    async with provider(server) as made:
        await ask(made)
        await ask(made)
    assert len(server.forms) == 1


async def test_a_request_that_is_given_up_ends_no_renewal(server: TokenServer) -> None:
    async with provider(server) as made:
        server.delay = 0.05
        first = asyncio.ensure_future(ask(made))
        second = asyncio.ensure_future(ask(made))
        await asked_for(server, 1)
        first.cancel()
        await second
    assert len(server.forms) == 1


async def test_a_refresh_token_that_is_replaced_survives_a_reload_in_the_middle(server: TokenServer) -> None:
    server.rotates, server.life, server.delay = True, 0, 0.05
    async with provider(server, refresh_token="r3fresh-0") as made:
        await ask(made)
        under_way = asyncio.ensure_future(ask(made))
        await asked_for(server, 2)
        async with provider(server, refresh_token="r3fresh-0") as successor:
            await ask(successor)
        await under_way
    assert server.most_at_once == 1
    assert "r3fresh-0" not in [form["refresh_token"] for form in server.forms[1:]]


# -- failures -----------------------------------------------------------------------------------------


async def failure(server: TokenServer, **auth: Any) -> ProviderFailure:
    async with provider(server, **auth) as made:
        with pytest.raises(ProviderFailure) as raised:
            await ask(made)
        made.credentials.clean(raised.value)
    assert raised.value.unsent
    assert not server.seen
    return raised.value


@pytest.mark.parametrize("status", [200, 400, 401])
async def test_a_refusal_is_told_without_the_secrets_that_it_repeats(server: TokenServer, status: int) -> None:
    said = f"client \x1b[31m{CLIENT}\n with {SECRET} is wrong {'x' * 1000}"
    server.instead = status, {"error": "invalid_client", "error_description": said}
    failed = await failure(server)
    assert failed.kind is FailureKind.AUTHENTICATION
    assert failed.message.startswith(f"{server.token_url} refused the credentials of `auth`: invalid_client: client ")
    assert "s3cret" not in failed.message
    assert failed.message.isprintable()
    assert len(failed.message) < 500


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (500, {"message": "no"}, "answered 500"),
        (302, b"", "answered 302"),
        (404, b"<html>", "answered 404"),
        (200, b"<html>", "answered without an access_token"),
        (200, b"[" * 50_000, "answered without an access_token"),
        (200, [1], "answered without an access_token"),
        (200, {"access_token": 5}, "answered without an access_token"),
        (200, {"access_token": "t0ken-1", "token_type": "DPoP"}, "of the type DPoP, but only Bearer is supported"),
        (200, {"access_token": "t0ken\r\nX-Evil: 1"}, "a token that cannot be sent in a header"),
        (200, {"access_token": "t" * 100_000}, "a token that cannot be sent in a header"),
        (200, b" " * 300_000, "answered more than 262144 bytes"),
    ],
)
async def test_odd_answers(server: TokenServer, status: int, body: Any, told: str) -> None:
    server.instead = status, body
    failed = await failure(server)
    assert failed.kind is FailureKind.CONNECTION
    assert told in failed.message
    assert "t0ken" not in failed.message


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=5), inside, max_size=3),
    max_leaves=5,
)
FIELDS = st.dictionaries(
    st.sampled_from(["access_token", "expires_in", "token_type", "refresh_token", "error", "error_description"]), JSON
)


@given(
    FIELDS,
    st.sampled_from([200, 201, 400, 401, 429, 500]),
    st.text(max_size=8) | st.sampled_from(["5", "²", "٣", "-1", "9" * 9]),
)
def test_any_answer_is_a_token_or_told(fields: dict[str, Any], status: int, wait: str) -> None:
    answer = Answered(status, {"retry-after": wait}, json.dumps(fields).encode())
    message = ""
    try:
        token, _ = read_token(answer, "http://login.test/token")
    except NoToken as told:
        message = told.message
    else:
        assert token.life is None or math.isfinite(token.life)
        assert token.text == fields["access_token"]
    assert one_line(message) == message
    assert len(message) < 800


async def test_no_server_and_a_silent_one(server: TokenServer, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = await failure(server, token_url="http://127.0.0.1:1/token")
    assert (failed.kind, failed.message) == (
        FailureKind.CONNECTION,
        "no token: connection refused by http://127.0.0.1:1/token",
    )
    monkeypatch.setattr(OAuth, "patience", 0.05)
    server.delay = 30
    failed = await failure(server)
    assert failed.message == f"{server.token_url} gave no token within 0.05 s"


async def test_a_failure_pauses_renewals_for_a_moment(server: TokenServer) -> None:
    now, source = [50.0], OAuth(settings(server, server.auth()), list)
    tokens = Tokens(source, (), list, lambda: now[0])
    server.instead = 503, {}
    for _ in range(5):
        with pytest.raises(ProviderFailure):
            await tokens.headers(ASKED)
    assert len(server.forms) == 1
    server.instead = None
    now[0] += 1.1
    assert await tokens.headers(ASKED)
    await tokens.aclose()


def test_settings_that_cannot_be_used() -> None:
    for url in ("", "login.test", "ftp://x/y"):
        with pytest.raises(ValueError, match="token_url is not an address"):
            HttpProvider(
                ProviderSettings("p", "c", base_url="http://h/v1", auth_method="oauth", auth={"token_url": url})
            )
