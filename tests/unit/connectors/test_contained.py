"""Secret stores and storages of other packages raise only what their interfaces allow."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from meshd.connectors.contained import contained
from meshd.sdk.secrets import SecretMissing, SecretStore, SecretStoreError
from meshd.sdk.storage import Storage, StorageError, StorageReset, StoredStat


class Rude:
    """Every method that it is asked for answers so."""

    atomic = True

    def __init__(self, answer: Callable[..., Any]) -> None:
        self.answer = answer

    def __getattr__(self, name: str) -> Any:
        return self.answer() if name == "readonly" else lambda *args, **given: self.answer()


def raises(error: BaseException) -> Callable[..., Any]:
    def answer() -> Any:
        raise error

    return answer


def store(answer: Callable[..., Any]) -> SecretStore:
    return contained("secret-store", "acme.store.v1", Rude(answer))


def storage(answer: Callable[..., Any]) -> Storage:
    return contained("storage", "acme.storage.v1", Rude(answer))


def test_a_store_never_shows_what_an_exception_says(caplog: pytest.LogCaptureFixture) -> None:
    rude = store(raises(ZeroDivisionError("swordfish")))
    with pytest.raises(SecretStoreError, match=r"^acme\.store\.v1 failed with ZeroDivisionError$"):
        rude.get("K")
    with pytest.raises(SecretStoreError, match="ZeroDivisionError"):
        rude.list()
    assert rude.files("K") == ()
    rude.refresh()
    rude.close()
    assert "swordfish" not in caplog.text


def test_a_store_passes_on_what_its_interface_has() -> None:
    assert store(lambda: "value").get("K") == "value"
    assert store(lambda: ["/x"]).files("K") == [Path("/x")]
    for error in (SecretMissing("none"), SecretStoreError("closed")):
        with pytest.raises(type(error), match=str(error)):
            store(raises(error)).get("K")
    with pytest.raises(SecretStoreError, match="gave K as int, not as text"):
        store(lambda: 7).get("K")


CALLS: list[Callable[[Storage], Any]] = [
    lambda each: each.load("k"),
    lambda each: each.save("k", b"v"),
    lambda each: each.delete("k"),
    lambda each: each.list(),
    lambda each: each.stat("k"),
    lambda each: each.exists("k"),
    lambda each: list(each.items()),
    lambda each: each.save_many({"k": None}),
    lambda each: each.flush(),
    lambda each: each.readonly,
]


@pytest.mark.parametrize("call", CALLS)
def test_a_storage_raises_storage_errors(call: Callable[[Storage], Any]) -> None:
    with pytest.raises(StorageError, match=r"^acme\.storage\.v1 failed: ZeroDivisionError: no$"):
        call(storage(raises(ZeroDivisionError("no"))))
    with pytest.raises(StorageReset, match="moved aside"):
        call(storage(raises(StorageReset("moved aside"))))


def test_the_end_of_a_storage_is_not_the_end_of_the_daemon(caplog: pytest.LogCaptureFixture) -> None:
    rude = storage(raises(ZeroDivisionError("no")))
    with caplog.at_level(logging.WARNING):
        assert rude.lost() is False
        rude.close()
    assert caplog.text.count("acme.storage.v1 failed") == 2


def test_a_storage_passes_on_values_and_refuses_other_types() -> None:
    assert storage(lambda: b"v").load("k") == b"v"
    assert storage(lambda: None).load("k") is None
    assert storage(lambda: StoredStat(1, 2.0)).stat("k") == StoredStat(1, 2.0)
    assert list(storage(lambda: [("k", b"v"), ("l", None)]).items()) == [("k", b"v")]
    assert storage(lambda: True).atomic is True
    with pytest.raises(StorageError, match="gave str, not bytes"):
        storage(lambda: "v").load("k")


def test_other_kinds_stay_as_they_are() -> None:
    sink = object()
    assert contained("observability", "acme.sink.v1", sink) is sink
