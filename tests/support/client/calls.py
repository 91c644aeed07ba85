"""Short forms that the client's tests share."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

from modelmesh import MeshError, errors
from tests.support.client.fake_daemon import BOUND


def says(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def ask(client: Any, text: str, **options: Any) -> str:
    reply = client.chat.completions.create(model="m", messages=says(text), **options)
    return reply.choices[0].message.content


def error_classes() -> dict[str, type[MeshError]]:
    """Every class of the tree, by its name."""
    public = {name: value for name, value in vars(errors).items() if isinstance(value, type) and name[0] != "_"}
    return {name: cls for name, cls in public.items() if issubclass(cls, MeshError) and cls.__name__ == name}


def in_threads(jobs: Iterable[Callable[[], Any]]) -> list[Any]:
    """What each job returned or raised, each run in a thread of its own; bounded."""
    jobs = list(jobs)
    results: list[Any] = [None] * len(jobs)

    def run(index: int) -> None:
        try:
            results[index] = jobs[index]()
        except BaseException as error:
            results[index] = error

    threads = [threading.Thread(target=run, args=(index,), daemon=True) for index in range(len(jobs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(BOUND * 2)
        assert not thread.is_alive(), "a call is stuck"
    return results


class InThread:
    """One job in a thread: `result()` waits, bounded, and returns or raises what the job did."""

    def __init__(self, job: Callable[[], Any]) -> None:
        self._value: Any = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(job,), daemon=True)
        self._thread.start()

    def _run(self, job: Callable[[], Any]) -> None:
        try:
            self._value = job()
        except BaseException as error:
            self._error = error

    def result(self) -> Any:
        self._thread.join(BOUND * 2)
        assert not self._thread.is_alive(), "the call is stuck"
        if self._error is not None:
            raise self._error
        return self._value
