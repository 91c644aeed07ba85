"""The store of responses: whose, how many, how long, and what the state store gets of it."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from meshd.config.schema.connectors.stores import ResponsesConfig
from meshd.core.caller import Peer, Token
from meshd.formats.keeping import Stored
from meshd.gateway.access.app_identity import Identity
from meshd.gateway.access.owner import Owner, owner_of
from meshd.gateway.responses.store import ENTRY_BYTES, ResponseStore
from meshd.routing.table.specs import AppSpec

ANN, BOB = Owner("uid 1", "editor"), Owner("uid 2", "editor")


class World:
    """A store, the time, and what the state store has of it."""

    def __init__(self, **config: Any) -> None:
        self.now = 1000.0
        self.rows: dict[str, dict[str, Any]] = {}
        self.config = ResponsesConfig(**config)
        self.store = self.begin()

    def begin(self) -> ResponseStore:
        store = ResponseStore(self._told, lambda: self.now)
        store.restore(dict(self.rows))
        store.configure(self.config)
        return store

    def _told(self, actor: str, message: Any) -> None:
        assert (actor, message.table) == ("state", "response")
        if message.value is None:
            self.rows.pop(message.key, None)
        else:
            self.rows[message.key] = message.value


def stored(id: str, size: int = 0) -> Stored:
    return Stored(id, b"[" + b" " * size + b"]", b'{"id":"%b"}' % id.encode(), f"session of {id}")


def test_it_is_found_only_by_its_owner() -> None:
    world = World()
    world.store.put(ANN, stored("resp_1"))
    assert world.store.find(ANN, "resp_1") == stored("resp_1")
    for other in (BOB, Owner("uid 1", "other"), Owner("token x", ""), None):
        assert world.store.find(other, "resp_1") is None
        if other is not None:
            world.store.drop(other, "resp_1")
    assert world.store.find(ANN, "resp_1") is not None


def test_the_same_id_of_two_owners() -> None:
    world = World()
    world.store.put(ANN, stored("resp_1"))
    world.store.put(BOB, stored("resp_1", 5))
    assert world.store.find(ANN, "resp_1") == stored("resp_1")
    assert world.store.find(BOB, "resp_1") == stored("resp_1", 5)


def test_owners() -> None:
    identity = Identity(AppSpec("default"), "default", "editor")
    shell, over_tcp = Identity(AppSpec("default"), "default", "sh"), Identity(AppSpec("default"), "default", "ann")
    for other in (identity, shell, over_tcp):
        assert owner_of(Peer(uid=7, pid=2), other) == owner_of(Peer(uid=7, pid=1), identity) == ("uid 7", "default")
    matched = Identity(AppSpec("editor"), "editor", "editor")
    assert owner_of(Peer(uid=7), matched) == ("uid 7", "editor")
    assert owner_of(Peer(uid=8), identity) != owner_of(Peer(uid=7), identity)
    one, two = Token("a" * 64, "editor"), Token("b" * 64, "editor")
    assert owner_of(one, identity) != owner_of(two, identity)
    assert owner_of(Peer(), identity) is None


def test_one_user_cannot_push_out_anothers() -> None:
    world = World(max_size=100_000)
    world.store.put(BOB, stored("resp_bob", 1000))
    for n in range(1000):
        app = Owner("uid 1", f"app {n}")
        world.store.put(app, stored(f"resp_{n}", 5000))
    assert world.store.find(BOB, "resp_bob") is not None
    assert world.store.size <= 100_000


def test_the_one_used_longest_ago_goes_first_and_large_ones_are_not_kept() -> None:
    world = World(max_count=2)
    for id in ("one", "two"):
        world.store.put(ANN, stored(id))
    world.store.find(ANN, "one")
    world.store.put(ANN, stored("three"))
    assert [world.store.find(ANN, id) is not None for id in ("one", "two", "three")] == [True, False, True]
    assert not world.store.put(ANN, stored("one", world.config.max_size // 4))
    assert world.store.find(ANN, "one") is None


def test_they_expire_and_survive_until_then() -> None:
    world = World(ttl=60)
    world.store.put(ANN, stored("resp_1"))
    world.now += 59
    world.store.put(ANN, stored("resp_2"))
    store = world.begin()
    assert store.find(ANN, "resp_1") == stored("resp_1")
    world.now += 1
    assert store.find(ANN, "resp_1") is None
    store.sweep()
    assert len(world.rows) == len(store) == 1
    assert store.find(ANN, "resp_2") is not None


def test_other_limits_apply_at_once() -> None:
    world = World()
    for n in range(10):
        world.store.put(ANN, stored(f"resp_{n}"))
    world.store.configure(ResponsesConfig(max_count=3))
    assert {n for n in range(10) if world.store.find(ANN, f"resp_{n}")} == {7, 8, 9}
    world.store.configure(ResponsesConfig(enabled=False))
    assert (len(world.store), world.rows) == (0, {})
    assert not world.store.put(ANN, stored("resp_1"))


def test_odd_rows_are_ignored() -> None:
    world = World()
    world.store.put(ANN, stored("resp_1"))
    world.rows |= {"odd": {"user": 1}, "empty": {}}
    assert len(world.begin()) == 1


actions = st.tuples(
    st.sampled_from(["put", "drop", "find"]), st.integers(0, 3), st.integers(0, 5), st.integers(0, 4000)
)


@given(st.lists(actions, max_size=60), st.booleans())
def test_the_state_store_has_the_same_and_the_limits_hold(asked: list[tuple[str, int, int, int]], small: bool) -> None:
    world = World(max_size=4 * (ENTRY_BYTES + 5000) if small else 10**6, max_count=8)
    for what, user, id, size in asked:
        owner = Owner(f"uid {user}", "a")
        world.now += 1
        if what == "put":
            world.store.put(owner, stored(f"resp_{id}", size))
        elif what == "drop":
            world.store.drop(owner, f"resp_{id}")
        else:
            world.store.find(owner, f"resp_{id}")
        assert world.store.size <= world.config.max_size
        assert len(world.store) <= 8
    after = world.begin()
    for user in range(4):
        for id in range(6):
            owner, name = Owner(f"uid {user}", "a"), f"resp_{id}"
            assert after.find(owner, name) == world.store.find(owner, name)
