"""The rules of `apps` that a type cannot state."""

from __future__ import annotations

import grp
import os
import pwd

import pytest

from meshd.config import MeshConfig

BASE = {
    "providers": {"p": {"connector": "modelmesh.scripted.v1"}},
    "models": {"p.a": {"provider": "p", "capabilities": ["chat-completion"]}},
    "pools": {"chat": {"capability": "chat-completion"}},
}
USER = pwd.getpwuid(os.getuid()).pw_name
GROUP = grp.getgrgid(0).gr_name


def problems(apps, base=BASE):
    return MeshConfig.from_dict({**base, "apps": apps}, environ={}).validate()


def test_what_is_right():
    apps = {
        "mail": {
            "match": {"user": USER, "group": GROUP, "uid": 0, "gid": 0, "exe": "/usr/bin/mail", "unit": "m@*.service"}
        },
        "default": {"pools": ["chat", "text-generation"], "models": ["p.a"]},
    }
    assert problems(apps) == []


@pytest.mark.parametrize(
    ("apps", "path", "message", "suggestion"),
    [
        ({"a": {}}, "apps.a", "matches nothing", None),
        ({"a": {"match": {"user": ""}}}, "apps.a", "matches nothing", None),
        ({"default": {"match": {"uid": 1}}}, "apps.default.match", "no `match`", None),
        ({"a": {"match": {"user": f"{USER}x"}}}, "apps.a.match.user", "no user", USER),
        ({"a": {"match": {"group": f"{GROUP}x"}}}, "apps.a.match.group", "no group", GROUP),
        ({"a": {"match": {"exe": "mail"}}}, "apps.a.match.exe", "full path", None),
        ({"default": {"pools": ["chatt"]}}, "apps.default.pools[0]", "no pool", "chat"),
        ({"default": {"models": ["q.b"]}}, "apps.default.models[0]", "no model", None),
        ({"a": {"match": {"token": "x"}}}, "apps.a.match.token", "not the hash of a token", None),
        ({"a": {"match": {"token": "0" * 64, "uid": 1}}}, "apps.a.match.token", "leave out the other keys", None),
    ],
)
def test_what_is_not(apps, path, message, suggestion):
    found = [problem for problem in problems(apps) if problem.path == path]
    assert len(found) == 1, problems(apps)
    assert message in found[0].message
    assert found[0].suggestion == suggestion or suggestion is None


def test_where_no_pool_is_configured_each_capability_has_one():
    base = {key: value for key, value in BASE.items() if key != "pools"}
    assert problems({"default": {"pools": ["chat-completion"]}}, base) == []
    assert problems({"default": {"pools": ["chat-completion"]}}) != []
    assert problems({"default": {"pools": ["generation"]}}, base) == []
    assert problems({"default": {"pools": ["nothing"]}}, base) != []


@pytest.mark.parametrize("wrong", ["x", ["x"], {"a": "x"}, {"a": {"match": "x", "pools": "chat"}}])
def test_what_is_not_a_map_is_a_problem_and_no_crash(wrong):
    assert problems(wrong)
