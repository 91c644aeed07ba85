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


@pytest.mark.parametrize("gone", [{"user": "nobody-at-all", "uid": 0}, {"group": "nobody-at-all", "unit": "x"}])
def test_an_entry_whose_user_or_group_is_gone_matches_no_process(gone):
    """And never every process that the rest of the match fits."""
    assert matches({"a": {"match": gone}}) == []
