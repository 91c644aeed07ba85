"""The script that divides limits in Redis, by the same rules as in memory, and with members that have gone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from meshd.connectors.storage.open import open_storage
from meshd.connectors.storage.redis_limits import DIVIDE
from meshd.sdk.storage import Claim, Grant, Storage, StorageError
from tests.support.routing import shared_limits
from tests.support.storages.servers import Once, Redis


@pytest.fixture(scope="module")
def once() -> Iterator[Once]:
    servers = Once()
    yield servers
    servers.close()


@pytest.fixture
def prefix() -> str:
    return uuid4().hex


@pytest.fixture
def storage(once: Once, tmp_path: Path, prefix: str) -> Iterator[Storage]:
    opened = open_storage("redis.redis.v1", once(Redis).settings(prefix=prefix), tmp_path)
    yield opened
    opened.close()


@pytest.mark.parametrize("seed", range(5))
def test_never_more_than_the_limit(storage: Storage, seed: int) -> None:
    shared_limits.never_more_than_the_limit(storage.divide, 10 * shared_limits.COST, shared_limits.drawn(seed, 150))


def test_each_has_its_part_of_the_next_days(storage: Storage) -> None:
    shared_limits.each_has_its_part_of_the_next_days(storage.divide)


def test_all_get_what_is_left(storage: Storage) -> None:
    shared_limits.each_gets_what_is_left(storage.divide)


def test_one_that_is_cut_off_goes_on_with_what_it_has(storage: Storage) -> None:
    shared_limits.one_that_is_cut_off_goes_on_with_what_it_has(storage.divide)


def test_one_that_ends_gives_back(storage: Storage) -> None:
    shared_limits.one_that_ends_gives_back(storage.divide)


def test_two_that_need_the_rest_do_not_wait_for_each_other(storage: Storage) -> None:
    shared_limits.two_that_need_the_rest_do_not_wait_for_each_other(storage.divide)


def test_one_that_is_gone_counts_as_all_that_it_was_granted(storage: Storage, once: Once, prefix: str) -> None:
    with once(Redis).client() as client:
        client.hset(f"{{{prefix}}}:limit:k", "gone", "40 10 0 1000")
        client.hset(f"{{{prefix}}}:limit:p\x1fg\x1fcost\x1f24h", "gone", "40 10 0 1000")
        assert storage.divide("me", [Claim("k", 100, 0, 0)]) == {"k": Grant(60, 40, 60)}
        rolling = "p\x1fg\x1fcost\x1f24h"
        assert storage.divide("me", [Claim(rolling, 100, 0, 0)]) == {rolling: Grant(100, 0, 100)}
        assert 0 < client.ttl(f"{{{prefix}}}:limit:k") <= 86400


def test_a_claim_that_arrives_late_changes_nothing(storage: Storage, once: Once, prefix: str, tmp_path: Path) -> None:
    with once(Redis).client() as client:
        keys = f"{{{prefix}}}:server", f"{{{prefix}}}:limit:k"
        late = client.eval(DIVIDE, 2, *keys, "me", 5, 100, 0, 20, 0, 86400, 0)
        assert isinstance(late, list)
        assert storage.divide("me", [Claim("k", 100, 70, 70)]) == {"k": Grant(100, 0, 30)}
        assert int(client.eval(DIVIDE, 2, *keys, "me", 6, 100, 0, 20, 0, 86400, 0)) > 6
        assert storage.divide("other", [Claim("k", 100, 0, 0)])["k"].granted == 0
        # A clock that was set back does not shut its daemon out.
        client.hset(keys[1], "me", f"100 70 0 {2**31} {2**52}")
        assert storage.divide("me", [Claim("k", 100, 70, 70)])["k"].granted == 85


def test_a_row_of_an_earlier_version_counts(storage: Storage, once: Once, prefix: str) -> None:
    with once(Redis).client() as client:
        client.hset(f"{{{prefix}}}:limit:k", mapping={"gone": "40 10 0 1000", "me": "30 10 0 1000"})
    assert storage.divide("me", [Claim("k", 100, 10, 30)]) == {"k": Grant(60, 40, 50)}


def test_a_server_that_may_lack_the_last_grants_gives_none_for_a_while(
    storage: Storage, once: Once, prefix: str
) -> None:
    storage.divide("me", [Claim("k", 100, 0, 0)])
    with once(Redis).client() as client:
        client.set(f"{{{prefix}}}:server", "0" * 40 + " 0")  # another wrote it
        client.hdel(f"{{{prefix}}}:limit:k", "me")
        assert storage.divide("other", [Claim("k", 100, 0, 0)])["k"].granted == 0
        assert storage.divide("me", [Claim("k", 100, 60, 100)])["k"].granted == 100
        known, since = client.get(f"{{{prefix}}}:server").split()
        client.set(f"{{{prefix}}}:server", b"%s %d" % (known, int(since) - 15))
    assert storage.divide("other", [Claim("k", 100, 0, 0)])["k"].granted == 0
    assert storage.divide("third", [Claim("new", 100, 0, 0)])["new"].granted == 100


def test_a_row_that_cannot_be_read_may_be_everything(storage: Storage, once: Once, prefix: str) -> None:
    with once(Redis).client() as client:
        client.hset(f"{{{prefix}}}:limit:k", mapping={"other": b"\xff", "me": "none"})
    assert storage.divide("me", [Claim("k", 100, 10, 30)])["k"].granted == 30
    assert storage.divide("other", [Claim("k", 100, 0, 40)])["k"].granted == 45
    assert storage.divide("me", [Claim("k", 100, 10, 30)])["k"].granted == 55


def test_large_sums_are_exact(storage: Storage) -> None:
    limit = 8_000_000_000_000_001  # 10⁻⁹ USD
    assert storage.divide("me", [Claim("k", limit, 1, 0)])["k"].granted == limit
    assert storage.divide("other", [Claim("k", limit, 0, 0)])["k"].granted == 0


def test_other_storages_divide_nothing(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        open_storage("modelmesh.memory.v1", {}, tmp_path).divide("me", [])
