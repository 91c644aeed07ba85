"""Which requests may be answered by another's answer, and which never share one."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshd.core.needs import RequestNeeds
from meshd.formats.openai.format import OPENAI
from meshd.operations.chat import CHAT
from meshd.operations.completion import COMPLETION
from meshd.operations.embeddings import EMBEDDINGS
from meshd.routing.request.cache_key import LONGEST, Lookup, Wish, lookup, wished
from meshd.routing.table.policies import CachePolicy
from meshd.routing.table.specs import AppSpec, PoolSpec
from modelmesh import InvalidRequestError
from tests.support.formats.bodies import split
from tests.support.routing.routing_builders import CHAT_NEEDS

FORMAT = OPENAI.app
POOL = PoolSpec("chat", "", (), cache=CachePolicy())
BODY = {"model": "chat", "messages": [{"role": "user", "content": "Hi"}], "temperature": 0}
MAIL, NOTES = AppSpec("mail"), AppSpec("notes")


def look(body: Any = BODY, *, pool=POOL, asked="chat", needs=CHAT_NEEDS, headers=None, app=MAIL, uid=1000):
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return lookup(pool, asked, needs, split(text), headers or {}, app, uid, FORMAT, None)


def key(*given: Any, **named: Any) -> bytes:
    found = look(*given, **named)
    assert found is not None
    return found.key


def scope(name: Any) -> PoolSpec:
    return replace(POOL, cache=CachePolicy(scope=name))


# -- what is deterministic ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, False),
        ({"temperature": 0}, True),
        ({"temperature": 0.0}, True),
        ({"temperature": 0.1}, False),
        ({"temperature": None}, False),
        ({"temperature": False}, False),
        ({"temperature": "0"}, False),
        ({"temperature": [0]}, False),
        ({"seed": 7}, True),
        ({"seed": 0, "temperature": 1.5}, True),
        ({"seed": None}, False),
        ({"seed": True}, False),
        ({"top_p": 0}, False),
        ({"temperature": 0, "n": 3}, True),
        ({"temperature": 0, "web_search_options": {}}, False),
        ({"temperature": 0, "web_search_options": None}, True),
        ({"temperature": 0, "store": True}, False),
        ({"temperature": 0, "store": False}, True),
    ],
)
@pytest.mark.parametrize("operation", [CHAT, COMPLETION])
def test_the_parameters_say_whether_an_answer_would_be_the_same(operation, parameters, expected):
    assert (look(parameters, needs=RequestNeeds(operation)) is not None) is expected


def test_a_number_out_of_range_says_nothing():
    assert look(b'{"temperature":1e999}') is None


def test_embeddings_are_always_the_same():
    assert look({}, needs=RequestNeeds(EMBEDDINGS)) is not None


# -- what an app asks ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, Wish.DEFAULT),
        ({"content-type": "application/json"}, Wish.DEFAULT),
        ({"x-mesh-cache": "true"}, Wish.ALWAYS),
        ({"x-mesh-cache": " False "}, Wish.NEVER),
        ({"cache-control": "no-cache"}, Wish.RENEW),
        ({"cache-control": "max-age=0, No-Store"}, Wish.NEVER),
        ({"cache-control": "no-cache, no-store"}, Wish.NEVER),
        ({"cache-control": "max-age=3"}, Wish.DEFAULT),
        ({"cache-control": "no-store", "x-mesh-cache": "true"}, Wish.ALWAYS),
    ],
)
def test_headers_say_what_the_app_wishes(headers, expected):
    assert wished(headers) is expected


def test_a_misspelt_wish_is_refused():
    with pytest.raises(InvalidRequestError, match="'yes'") as refused:
        wished({"x-mesh-cache": "yes"})
    assert refused.value.param == "x-mesh-cache"


def test_the_app_may_insist_or_refuse():
    sampled = {**BODY, "temperature": 1}
    assert look(sampled) is None
    assert look(sampled, headers={"x-mesh-cache": "true"}) is not None
    assert look(headers={"x-mesh-cache": "false"}) is None
    assert look(headers={"cache-control": "no-store"}) is None


def test_asking_again_is_kept_where_the_old_answer_was():
    assert look(headers={"cache-control": "no-cache"}) == Lookup(key(), read=False)


def test_a_pool_without_a_cache_has_no_keys_and_reads_no_header():
    assert look(pool=replace(POOL, cache=None), headers={"x-mesh-cache": "yes"}) is None


# -- what is the same ---------------------------------------------------------------------------------


def test_neither_white_space_nor_order_matters():
    told = b'{ "temperature" :0, "messages": [ {"content":"Hi", "role":"user"} ],\n"model":"chat"}'
    assert key(told) == key()
    assert key(b'{"input":"\\u00e9"}', needs=RequestNeeds(EMBEDDINGS)) == key(
        '{"input":"é"}'.encode(), needs=RequestNeeds(EMBEDDINGS)
    )


@pytest.mark.parametrize("name", sorted(FORMAT.immaterial))
def test_what_does_not_change_the_answer_is_not_part_of_it(name):
    assert key({**BODY, name: "x"}) == key()


@pytest.mark.parametrize("extra", [{"stream_options": {"include_usage": True}}, {"max_tokens": 1}, {"unheard_of": 1}])
def test_anything_else_is(extra):
    assert key({**BODY, **extra}) != key()


def test_stream_false_is_not_a_stream():
    assert key({**BODY, "stream": False}) == key()


def test_other_requests_have_other_keys():
    others = [
        key(),
        key({**BODY, "stream": True}, needs=msgspec.structs.replace(CHAT_NEEDS, stream=True)),
        key(needs=msgspec.structs.replace(CHAT_NEEDS, operation=COMPLETION)),
        key(pool=replace(POOL, name="other")),
        key(asked="capability"),
        key({**BODY, "messages": [{"role": "user", "content": "hi"}]}),
        key(pool=scope("user")),
        key(pool=scope("shared")),
    ]
    assert len(set(others)) == len(others)


# -- who shares ---------------------------------------------------------------------------------------


def test_an_apps_answers_are_its_own_and_its_users():
    assert key(app=MAIL) != key(app=NOTES)
    assert key(uid=1000) != key(uid=1001)  # one program, or no entry at all, for both


def test_a_users_apps_may_share_and_everybody_may():
    assert key(pool=scope("user"), app=MAIL) == key(pool=scope("user"), app=NOTES)
    assert key(pool=scope("user"), uid=1) != key(pool=scope("user"), uid=2)
    assert key(pool=scope("shared"), app=MAIL, uid=1) == key(pool=scope("shared"), app=NOTES, uid=2)


@pytest.mark.parametrize(("scoped", "known"), [("app", False), ("user", False), ("shared", True)])
def test_an_unknown_caller_shares_only_shared_answers(scoped, known):
    assert (look(pool=scope(scoped), uid=-1) is not None) is known


def test_an_app_gets_no_answer_of_a_model_that_it_may_not_use():
    shared = scope("shared")
    few = replace(NOTES, models=frozenset({"a", "b"}))
    assert key(pool=shared, app=few) != key(pool=shared)
    assert key(pool=shared, app=few) == key(pool=shared, app=replace(MAIL, models=frozenset({"b", "a"})))
    assert key(pool=shared, app=replace(NOTES, pools=frozenset({"a", "b"}))) != key(pool=shared, app=few)


# -- what has no key ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "messages",
    [
        b'[{"content":"mine","content":"yours"}]',  # read as either
        b'["\xff"]',
        b"[" * 100_000 + b"]" * 100_000,
        b"[" + b"9" * 5000 + b"]",
    ],
)
def test_what_cannot_be_read_in_one_way_is_not_kept(messages):
    fields = {name: value for name, value in split(json.dumps(BODY).encode()).items() if name != "messages"}
    fields["messages"] = msgspec.Raw(messages)
    assert lookup(POOL, "chat", CHAT_NEEDS, fields, {}, MAIL, 1, FORMAT, None) is None


def test_nor_what_is_very_long():
    assert look({**BODY, "prompt": "x" * (LONGEST - 1000)}) is not None
    assert look({**BODY, "prompt": "x" * LONGEST}) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.dictionaries(
        st.text().filter(lambda name: name not in {*FORMAT.immaterial, "model", "stream"}), JSON, max_size=3
    ),
    JSON,
)
def test_keys_are_equal_just_when_bodies_are(body, other):
    always = {"x-mesh-cache": "true"}

    def of(value: Any, **how: Any) -> bytes | None:
        found = look(json.dumps(value, **how).encode(), headers=always)
        return found.key if found else None

    assert of(body) == of(dict(reversed(body.items())), indent=2, ensure_ascii=False) is not None
    changed = {**body, "messages": other}
    if json.dumps(body.get("messages", "absent"), sort_keys=True) != json.dumps(other, sort_keys=True):
        assert of(changed) != of(body)
