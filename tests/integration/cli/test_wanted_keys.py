"""A provider that needs a key and is sent none: every command says that, and what to do; of one whose key it refuses
something else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from modelmesh import AuthenticationError
from tests.support.providers.credentials.keyed_provider import KeyedProvider

WANTED = "Provider none needs a key and has none; give it an `api_key` in the configuration."
REFUSED = "The key of provider {} is refused; give the daemon another."
KEYED: dict[str, dict[str, Any]] = {
    "key": {"api_key": "k-wrong-one"},
    "header": {"headers": {"X-Api-Key": "k-wrong-one"}},
    "address": {},
}


@pytest.fixture(scope="module")
def daemon(module_meshd: Any) -> Iterator[Any]:
    server = KeyedProvider("k-right-one", guarded=True)
    providers = {name: server.provider(**entry) for name, entry in KEYED.items()}
    providers["address"]["base_url"] = providers["address"]["base_url"].replace("//", "//me:k-wrong-one@")
    providers["none"] = server.provider()
    providers["switched-off"] = server.provider(api_key="k-right-one", auth={"method": "none"})
    models = {f"{name}.m": {"provider": name} for name in providers}
    yield module_meshd({"providers": providers, "models": models, "discovery": {"health": {"enabled": False}}})
    server.close()


def told(daemon: Any, name: str) -> str:
    with pytest.raises(AuthenticationError) as caught:
        daemon.say(model=f"{name}.m")
    sentence: str = caught.value.message.split("\n")[0]
    return sentence


def test_an_error_says_what_is_expected(daemon: Any) -> None:
    assert told(daemon, "none") == WANTED
    assert told(daemon, "switched-off") == WANTED.replace("none needs", "switched-off needs")
    for name in KEYED:
        assert told(daemon, name) == REFUSED.format(name)


def test_every_command_says_so(daemon: Any, run_meshctl: Any) -> None:
    told(daemon, "none")
    told(daemon, "key")
    rows = {row["name"]: row for row in json.loads(run_meshctl(daemon, "providers", "--json").stdout)["data"]}
    assert {name: rows[name]["key"] for name in ("none", "key")} == {"none": "wanted", "key": "refused"}
    assert "provider none: it needs a key and has none: " in run_meshctl(daemon, "status", "--all").stdout
    shown = run_meshctl(daemon, "providers").stdout
    assert "key wanted" in next(line for line in shown.splitlines() if line.startswith("none "))
    assert "key        none, and it needs one" in run_meshctl(daemon, "providers", "none").stdout
    probed = run_meshctl(daemon, "probe").stdout.splitlines()
    assert {words[0]: words[2] for words in map(str.split, probed) if words[1] == "key"} == {
        **dict.fromkeys(KEYED, "refused"), "none": "wanted", "switched-off": "wanted"
    }  # fmt: skip
    lines = run_meshctl(daemon, "doctor").stdout.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("problem provider none: "))
    assert "needs a key and has none: " in lines[at]
    assert lines[at].count("needs a key") == 1
    assert "api_key" in lines[at + 1]
    assert "refused" not in lines[at]
