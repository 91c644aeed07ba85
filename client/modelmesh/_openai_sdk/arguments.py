"""The OpenAI SDK's arguments: the marker for one not given, those without effect here, checks, the base URL."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Final

from modelmesh._origin import ORIGIN


class NotGiven:
    """Marks a parameter that was not given, since None would be sent as null."""

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "NOT_GIVEN"


NOT_GIVEN: Final = NotGiven()
_ABSENT: Final = frozenset({"NotGiven", "Omit"})


def given(value: object) -> bool:
    """Whether a parameter was given; the OpenAI SDK's own sentinels count as absent too."""
    return type(value).__name__ not in _ABSENT


BASE_URL: Final = f"{ORIGIN}/v1"
"""With the version in its path, as the SDK's own."""

OF_THE_SDK: Final = frozenset(
    {
        "admin_api_key",
        "api_key",
        "base_url",
        "data_residency",
        "http_client",
        "organization",
        "project",
        "provider",
        "webhook_secret",
        "websocket_base_url",
        "workload_identity",
        "_enforce_credentials",
        "_strict_response_validation",
    }
)
"""Arguments of the OpenAI SDK's clients (3.57) without effect here: keys and addresses are the daemon's."""


def warn_of_no_effect(where: str, arguments: Mapping[str, Any]) -> None:
    """Warn about the SDK's arguments that have no effect. Raises TypeError for one that is not the SDK's."""
    for name in arguments:
        if name not in OF_THE_SDK:
            raise TypeError(f"{where}() got an unexpected keyword argument {name!r}")
    names = [name for name, value in arguments.items() if value is not None and given(value) and name[0] != "_"]
    if names:
        import warnings

        text = f"{where}: {', '.join(names)} has no effect: the mesh's daemon holds the keys and the addresses"
        warnings.warn(text, UserWarning, stacklevel=_level_of_the_caller())


def _level_of_the_caller() -> int:
    """The stack level of the program's own code, for warnings."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("modelmesh."):
        level, frame = level + 1, frame.f_back
    return level


def checked_retries(retries: Any) -> int:
    """Checked as in the OpenAI SDK. Raises TypeError."""
    if isinstance(retries, bool) or not isinstance(retries, int | float) or retries != retries:  # not a number
        raise TypeError(f"max_retries must be a number, 0 for none, not {retries!r}")
    return retries  # type: ignore[return-value]  # math.inf: as often as the timeout allows
