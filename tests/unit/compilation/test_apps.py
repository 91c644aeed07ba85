"""Who is which app: names looked up, paths resolved, in the order of the file."""

from __future__ import annotations

import grp
import os
import pwd

import pytest

from meshd.compilation import apps
from meshd.config import MeshConfig
from meshd.routing.table.access import AppMatch

ME = pwd.getpwuid(os.getuid())
GROUP = grp.getgrgid(0)


def matches(section):
    return list(apps.compile_matches(MeshConfig.from_dict({"apps": section}, environ={})))


def test_names_become_numbers_and_the_order_stays():
    found = matches(
        {
            "b": {"match": {"user": ME.pw_name, "group": GROUP.gr_name, "uid": 4, "gid": 5}},
            "default": {"pools": []},
            "a": {"match": {"unit": "a.service"}},
            "nobody": {},
        }
    )
    assert found == [
        AppMatch("b", frozenset({4, ME.pw_uid}), frozenset({5, GROUP.gr_gid})),
        AppMatch("a", unit="a.service"),
    ]


def test_a_path_is_where_its_links_lead(tmp_path):
    (tmp_path / "real").touch()
    (tmp_path / "link").symlink_to("real")
    [found] = matches({"a": {"match": {"exe": str(tmp_path / "link")}}})
    assert found.exe == os.path.realpath(tmp_path / "real")


def test_the_app_of_a_token_has_the_limits_of_the_default():
    tokens = [{"app": app, "hash": digit * 64} for app, digit in (("b", "1"), ("a", "2"), ("b", "3"), ("mail", "4"))]
    limited = {"budget": {"daily_limit": 5}}
    named = {"mail": {}, "default": limited}
    config = MeshConfig.from_dict({"apps": named, "proxy": {"auth": {"tokens": tokens}}}, environ={})
    held = {"a": {"2" * 64}, "b": {"1" * 64, "3" * 64}, "mail": {"4" * 64}}
    assert list(apps.compile_matches(config)) == [AppMatch(app, tokens=frozenset(held[app])) for app in held]
    found = list(apps.compile_allowances(config, ()))
    assert [(each.name, each.limit) for each in found] == [(name, 5 * 10**9) for name in ("default", "a", "b")]
    alone = MeshConfig.from_dict({"proxy": {"auth": {"tokens": tokens}}}, environ={})
    assert list(apps.compile_allowances(alone, ())) == []


@pytest.mark.parametrize("gone", [{"user": "nobody-at-all", "uid": 0}, {"group": "nobody-at-all", "unit": "x"}])
def test_an_entry_whose_user_or_group_is_gone_matches_no_process(gone):
    """And never every process that the rest of the match fits."""
    assert matches({"a": {"match": gone}}) == []
