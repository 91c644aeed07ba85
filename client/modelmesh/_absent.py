"""What the OpenAI SDK's client has and the mesh does not offer, told as that where it is looked for.

Owns: the error, and its words. Must never: be in the way of `hasattr`, `getattr` with a default, or `copy`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from modelmesh._errors import NotFoundError


class NotOfferedError(NotFoundError, AttributeError):
    """The mesh does not offer this part of the API. An AttributeError too, so that its absence can be detected."""

    code = "not_offered"


class Offers:
    """A client or a part of one: looking for what it does not have says what there is."""

    _called: ClassVar[str] = "client"
    """How programs come to it."""

    if not TYPE_CHECKING:  # which knows by itself what is not there

        def __getattr__(self, name: str) -> Any:
            if name.startswith("_"):
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            from modelmesh._sdk_errors import as_sdk_error

            there = _listed([f"{self._called}.{part}" for part in self._parts()])
            raise as_sdk_error(NotOfferedError(f"the mesh does not offer {self._called}.{name} (yet), but {there}"))

    def _parts(self) -> list[str]:
        """Names of what it has."""
        names: list[Any] = [name for name, value in vars(type(self)).items() if callable(value)]
        return sorted(name for name in names if not name.startswith("_"))


def _listed(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
