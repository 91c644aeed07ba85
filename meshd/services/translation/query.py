"""What a translation asks for, and the form of its answer, which is the same for all services.

Owns: the fields of the operation `translate`. Must never: know a service.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Literal

import msgspec

from meshd.services.seam import Asked, Result, cannot

MOST_TEXTS = 1000
_Language = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$")]


class Translation(msgspec.Struct, frozen=True):
    """target, source: languages as BCP 47 names them. source: None: to be found out. context: what the texts are
    about; it is not translated."""

    text: str | Annotated[list[str], msgspec.Meta(min_length=1, max_length=MOST_TEXTS)]
    target: _Language
    source: _Language | None = None
    formality: Literal["default", "more", "less"] = "default"
    format: Literal["text", "html"] = "text"
    context: str | None = None

    @property
    def texts(self) -> list[str]:
        return [self.text] if isinstance(self.text, str) else self.text

    def parts(self, most: int, largest: int) -> Iterable[list[str]]:
        """The texts in groups of so many, with at most so many characters together; one that is longer is alone."""
        part: list[str] = []
        size = 0
        for text in self.texts:
            if part and (len(part) == most or size + len(text) > largest):
                yield part
                part, size = [], 0
            part.append(text)
            size += len(text)
        yield part


def read(asked: Asked, *, lacks: Iterable[str] = ()) -> Translation:
    """lacks: fields that the service cannot express. Raises ProviderFailure."""
    translation = asked.read(Translation)
    for name in lacks:
        if getattr(translation, name) not in (None, "default"):
            raise cannot(name)
    return translation


def result(found: Sequence[tuple[str, str]], characters: int) -> Result:
    """found: (text, source language) of each text in turn."""
    rows = [{"text": text, "source": source} for text, source in found]
    document = {"object": "translation", "translations": rows, "usage": {"characters": characters}}
    return Result(document, units={"characters": characters})
