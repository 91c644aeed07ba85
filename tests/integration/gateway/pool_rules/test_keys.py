"""Several keys of one provider in a real daemon: turns by weight, one that is refused rests alone, all refused."""

from __future__ import annotations

from collections import Counter

import pytest

from modelmesh import MeshError
from tests.support.daemons.pool_rule_cases import Cases, events, member, provider
from tests.support.providers.servers.local_server import Handler, LocalServer

ANSWER = {
    "id": "x", "object": "chat.completion", "created": 1, "model": "m",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hi"}}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}  # fmt: skip


class KeyedUpstream(LocalServer):
    """An upstream that answers by the key it is asked with. refuses: key → (status, headers)."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.refuses: dict[str, tuple[int, dict[str, str]]] = {}
        upstream = self

        class Answering(Handler):
            def do_POST(self) -> None:
                self.body()
                key = self.headers["Authorization"].removeprefix("Bearer ")
                upstream.asked.append(key)
                status, headers = upstream.refuses.get(key, (200, {}))
                self.send(status, ANSWER if status == 200 else {"error": {"message": f"no, {status}"}}, headers)

            def do_GET(self) -> None:
                self.send(200, {"object": "list", "data": []})

        super().__init__(Answering)

    def provider(self, *keys: object, **settings: object) -> dict[str, object]:
        return {
            "connector": "openai-compatible.v1",
            "base_url": self.url,
            "api_keys": list(keys),
            **settings,
        }


@pytest.fixture
def keyed():
    upstream = KeyedUpstream()
    yield upstream
    upstream.close()


def config(keyed, server, *keys, **pool):
    """A pool of the provider with the keys, and another that always answers."""
    cases = Cases(server)
    cases.case("keys", **pool)
    cases.config["providers"]["p-keys-a"] = keyed.provider(*keys)
    cases.play()
    return cases.config


LONG = {"recovery": {"cooldown": "1h"}}


def asked(daemon, times):
    return "".join(daemon.say(model="keys").mesh.model[-1] for _ in range(times))


def test_keys_take_turns_by_weight(meshd, upstream, keyed):
    daemon = meshd(config(keyed, upstream(), {"key": "heavy", "weight": 3}, "light"))
    assert asked(daemon, 8) == "a" * 8
    assert Counter(keyed.asked) == {"heavy": 6, "light": 2}
    assert provider(daemon, "p-keys-a")["keys"] == 2


@pytest.mark.parametrize("status", [401, 403, 429])
def test_a_refused_key_rests_alone_and_another_saves_the_request(meshd, upstream, keyed, status):
    daemon = meshd(config(keyed, upstream(), "good", "bad", **LONG))
    keyed.refuses["bad"] = (status, {})
    assert asked(daemon, 6) == "a" * 6
    assert Counter(keyed.asked) == {"good": 6, "bad": 1}
    row = provider(daemon, "p-keys-a")
    assert row["available"]
    [resting] = row["resting_keys"]
    assert resting["reason"] == f"no, {status}"
    assert "bad" not in resting["id"], "a key is named by its fingerprint alone"
    assert member(daemon, "keys", "keys-a")["failures"] == 0


def test_a_key_that_is_over_its_rate_is_back_when_it_said(meshd, upstream, keyed, eventually):
    daemon = meshd(config(keyed, upstream(), "good", "busy", **LONG))
    keyed.refuses["busy"] = (429, {"retry-after-ms": "300"})
    asked(daemon, 2)
    keyed.refuses.clear()
    eventually(lambda: not provider(daemon, "p-keys-a")["resting_keys"])
    keyed.asked.clear()
    asked(daemon, 4)
    assert Counter(keyed.asked) == {"good": 2, "busy": 2}


def test_all_keys_refused_set_the_provider_aside(meshd, upstream, keyed):
    daemon = meshd(config(keyed, upstream(), "one", "two", **LONG))
    keyed.refuses = {"one": (401, {}), "two": (401, {})}
    assert asked(daemon, 3) == "bbb"
    assert sorted(keyed.asked) == ["one", "two"], "each once, and then it is not asked"
    row = provider(daemon, "p-keys-a")
    assert not row["available"]
    assert len(row["resting_keys"]) == 2
    daemon.ask("POST", "/mesh/v1/models/activate", {"id": "keys-a"})
    keyed.refuses.clear()
    assert asked(daemon, 1) == "a"


def test_all_keys_over_their_rate_are_not_an_outage(meshd, upstream, keyed):
    daemon = meshd(config(keyed, upstream(), "one", "two", deactivation={"retry_limit": 100}))
    keyed.refuses = {"one": (429, {"Retry-After": "60"}), "two": (429, {"Retry-After": "60"})}
    assert asked(daemon, 3) == "bbb"
    assert sorted(keyed.asked) == ["one", "two"]
    row = provider(daemon, "p-keys-a")
    assert (row["available"], len(row["resting_keys"])) == (True, 2)
    with pytest.raises(MeshError) as caught:
        daemon.client(timeout=1).chat.completions.create(model="keys-a", messages=[{"role": "user", "content": "hi"}])
    assert caught.value.status_code in (429, 504)


def test_the_rests_of_keys_outlive_a_restart(meshd, upstream, keyed):
    daemon = meshd(config(keyed, upstream(), "good", "bad", **LONG))
    keyed.refuses["bad"] = (401, {})
    asked(daemon, 3)
    before = provider(daemon, "p-keys-a")["resting_keys"]
    daemon.stop()
    daemon.start()
    assert provider(daemon, "p-keys-a")["resting_keys"] == before
    keyed.asked.clear()
    assert asked(daemon, 4) == "aaaa"
    assert Counter(keyed.asked) == {"good": 4}


def test_limits_in_headers_are_a_keys_own(meshd, upstream, keyed):
    daemon = meshd(config(keyed, upstream(), "roomy", "full"))
    full = {
        "x-ratelimit-limit-requests": "1",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "1m",
    }
    keyed.refuses["full"] = (200, full)
    assert asked(daemon, 6) == "a" * 6
    assert Counter(keyed.asked) == {"roomy": 5, "full": 1}


@pytest.mark.parametrize("rotates", [True, False])
def test_a_refused_key_is_resolved_again(meshd, upstream, keyed, short, eventually, rotates):
    """`auth.key_rotation`: somebody has put another one in its place."""
    secrets = short / "keys.env"
    secrets.write_text("K=old\n")
    secrets.chmod(0o600)
    cases = Cases(upstream(), secrets={"store": "modelmesh.dotenv.v1", "path": str(secrets), "cache_ttl": "1h"})
    cases.case("keys", recovery={"cooldown": "1h"})
    cases.config["daemon"] = {"watch": False}
    cases.config["providers"]["p-keys-a"] = keyed.provider(api_key="${secrets:K}", auth={"key_rotation": rotates})
    del cases.config["providers"]["p-keys-a"]["api_keys"]
    cases.play()
    daemon = meshd(cases.config)
    assert asked(daemon, 1) == "a"
    keyed.refuses["old"] = (401, {})
    secrets.write_text("K=second-key\n")
    if rotates:
        assert asked(daemon, 3) == "aaa", "the request that was refused is asked again with the new one"
        assert keyed.asked[-1] == "second-key"
        eventually(lambda: events(daemon, "secret_rotated", secret="K"))
    else:
        assert asked(daemon, 3) == "bbb"
        assert keyed.asked == ["old", "old"]
        assert not events(daemon, "secret_rotated")
    assert "second-key" not in daemon.log()
