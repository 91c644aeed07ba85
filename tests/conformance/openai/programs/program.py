"""What a program is: a function of a client, which is registered by its name and whose result is compared.

Forms are those of public code (parsing, raw responses, headers, dumps, copies, streams left early, absent parts).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

MODEL = "chat"
SAID = [{"role": "user", "content": "Say hello"}]
PROGRAMS: dict[str, Callable[[Any], Any]] = {}


def program(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    PROGRAMS[function.__name__.replace("_", " ")] = function
    return function


def ask(client: Any, **options: Any) -> Any:
    return client.chat.completions.create(**{"model": MODEL, "messages": SAID, **options})
