"""Errors for parts of the OpenAI SDK's client that the mesh does not offer.

Owns: the error, and its message. Must never: break `hasattr`, `getattr` with a default, or `copy`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from modelmesh.errors import NotFoundError


class NotOfferedError(NotFoundError, AttributeError):
    """The mesh does not offer this part of the API. An AttributeError too, so that its absence can be detected."""

    code = "not_offered"


class Offers:
    """A client or a part of one: a missing attribute's error lists what there is."""

    _called: ClassVar[str] = "client"
    """How programs reach it."""

    if not TYPE_CHECKING:  # a type checker reports missing attributes itself

        def __getattr__(self, name: str) -> Any:
            if name.startswith("_"):
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            from modelmesh._openai_sdk.errors import as_sdk_error

            there = _listed([f"{self._called}.{part}" for part in self._parts()])
            raise as_sdk_error(NotOfferedError(f"the mesh does not offer {self._called}.{name} (yet), but {there}"))

    def _parts(self) -> list[str]:
        """Names of its parts."""
        names: list[Any] = [name for name, value in vars(type(self)).items() if callable(value)]
        return sorted(name for name in names if not name.startswith("_"))


def _listed(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
