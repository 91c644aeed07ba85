"""A store outside this process: it is waited for only so long, and left alone while it does not answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from meshd.connectors.secrets.bounded import BoundedStore
from meshd.sdk.secrets import SecretMissing, SecretStore, SecretStoreError, SecretStoreUnreachable
from tests.support.waiting import until


class Odd(SecretStore):
    """Answers with what `answer` gives or raises."""

    def __init__(self) -> None:
        super().__init__({})
        self.answer: Callable[[], str] = lambda: "v"
        self.asked: list[str] = []
        self.closed = False

    def get(self, name: str) -> str:
        self.asked.append(threading.current_thread().name)
        return self.answer()

    def close(self) -> None:
        self.closed = True


def raising(error: Exception) -> Callable[[], str]:
    def answer() -> str:
        raise error

    return answer


@pytest.fixture
def odd() -> Odd:
    return Odd()


@pytest.fixture
def bounded(odd: Odd) -> Iterator[BoundedStore]:
    made = BoundedStore("acme.v1", odd, 5.0)
    yield made
    made.close()


def test_all_calls_come_from_a_thread_of_its_own(odd: Odd, bounded: BoundedStore) -> None:
    assert [bounded.get("A"), bounded.get("B")] == ["v", "v"]
    assert odd.asked == ["meshd-secrets-acme.v1"] * 2
    assert bounded.standing.error == ""


@pytest.mark.parametrize("error", [SecretMissing("no A"), SecretStoreError("A is not yours")])
def test_a_store_that_has_no_such_secret_is_well(odd: Odd, bounded: BoundedStore, error: Exception) -> None:
    odd.answer = raising(error)
    for _ in range(2):
        with pytest.raises(type(error), match=str(error)):
            bounded.get("A")
    assert len(odd.asked) == 2
    assert bounded.standing.error == ""


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (SecretStoreUnreachable("acme does not answer"), "acme does not answer"),
        (RuntimeError("of the value s3cret"), "acme.v1 failed with RuntimeError"),
        (TimeoutError("its own"), "acme.v1 failed with TimeoutError"),
    ],
)
def test_a_store_that_fails_is_left_alone_for_a_moment(
    odd: Odd, bounded: BoundedStore, error: Exception, said: str
) -> None:
    odd.answer = raising(error)
    for name in ("A", "B", "C"):
        with pytest.raises(SecretStoreUnreachable, match=f"^{said}$"):
            bounded.get(name)
    assert len(odd.asked) == 1
    assert bounded.standing.error == said
    assert time.time() - bounded.standing.since < 60
    odd.answer = lambda: "v"
    bounded.retry()
    assert bounded.get("A") == "v"
    assert bounded.standing.error == ""


def test_one_that_hangs_is_waited_for_once(odd: Odd) -> None:
    released = threading.Event()
    odd.answer = lambda: str(released.wait(20))
    bounded = BoundedStore("acme.v1", odd, 0.05)
    with pytest.raises(SecretStoreUnreachable, match="did not answer in time"):
        bounded.get("A")
    bounded.retry()
    with pytest.raises(SecretStoreUnreachable, match="has not answered an earlier request"):
        bounded.get("A")
    assert len(odd.asked) == 1
    odd.answer = lambda: "v"
    released.set()
    until = time.monotonic() + 10
    while True:
        bounded.retry()
        try:
            assert bounded.get("A") == "v"
            break
        except SecretStoreUnreachable:
            assert time.monotonic() < until
    bounded.close()


def test_calls_that_belong_together_have_one_limit(odd: Odd) -> None:
    bounded = BoundedStore("acme.v1", odd, 5.0)
    bounded.begin(0.05)
    released = threading.Event()
    odd.answer = lambda: str(released.wait(20))
    with pytest.raises(SecretStoreUnreachable, match="in time"):
        bounded.get("A")
    assert "in time" in bounded.standing.error
    bounded.retry()
    with pytest.raises(SecretStoreUnreachable, match="was not asked, because other stores took too long"):
        bounded.get("B")
    assert len(odd.asked) == 1
    released.set()
    bounded.close()


def test_closing_one_that_was_never_asked_needs_no_thread(odd: Odd) -> None:
    before = threading.active_count()
    BoundedStore("acme.v1", odd, 5.0).close()
    assert odd.closed
    assert threading.active_count() == before


def test_one_that_never_answers_is_given_up(odd: Odd) -> None:
    released = threading.Event()
    odd.answer = lambda: str(released.wait(20))
    other = Odd()
    bounded = BoundedStore("acme.v1", odd, 0.02, lambda: other)
    with pytest.raises(SecretStoreUnreachable):
        bounded.get("A")
    assert until(lambda: answer_of(bounded)) == "v"
    assert bounded.standing.error == ""
    released.set()
    until(lambda: odd.closed)
    bounded.close()


def test_only_so_many_are_given_up(odd: Odd) -> None:
    """Each keeps a thread, so that one that hangs for ever is soon left alone for ever."""
    released, made = threading.Event(), [odd]
    odd.answer = lambda: str(released.wait(20))

    def another() -> Odd:
        made.append(Odd())
        made[-1].answer = odd.answer
        return made[-1]

    bounded = BoundedStore("acme.v1", odd, 0.001, another)
    until(lambda: answer_of(bounded) or len(made) == 5)
    for _ in range(20):
        assert answer_of(bounded) == ""
        time.sleep(0.001)
    assert len(made) == 5
    released.set()
    bounded.close()


def answer_of(bounded: BoundedStore) -> str:
    """ "" if it does not answer."""
    bounded.retry()
    try:
        return bounded.get("A")
    except SecretStoreUnreachable:
        return ""
