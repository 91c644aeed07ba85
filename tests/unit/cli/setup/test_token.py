"""`meshctl token create`: what it prints is what the configuration and the listener take."""

from __future__ import annotations

import json
from typing import Any

import yaml

from meshd.config import MeshConfig
from meshd.core.caller import Peer
from meshd.gateway.frontends.http.access import Access


def test_a_token_lets_its_app_in(meshctl: Any) -> None:
    made = json.loads(meshctl("token", "create", "editor", "--json").stdout)
    access = Access(tokens={made["hash"]: made["app"]})
    for headers in ({"authorization": f"Bearer {made['token']}"}, {"x-api-key": made["token"]}):
        assert access.caller(Peer(uid=4242), headers, is_unix=False).app == "editor"
    assert json.loads(meshctl("token", "create", "editor", "--json").stdout)["token"] != made["token"]


def test_what_is_printed_can_be_pasted(meshctl: Any) -> None:
    printed = meshctl("token", "create", 'my "app": x').stdout
    section = yaml.safe_load(printed[printed.index("  proxy:") :])
    config = MeshConfig(section, environ={})
    assert not [problem for problem in config.validate() if "proxy" in str(problem)]
    [entry] = section["proxy"]["auth"]["tokens"]
    assert entry["app"] == 'my "app": x'
    token = printed.splitlines()[1].strip()
    assert token not in json.dumps(section)
