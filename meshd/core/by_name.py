"""Makes the records that the daemon works with from sections of the configuration: a field takes the value of the key
of the same name, so a new one needs no line where the section becomes the record.

Must never: know a section or a record.
"""

from __future__ import annotations

import functools
from collections.abc import Collection
from typing import Any, TypeVar, get_type_hints

import msgspec

Record = TypeVar("Record")


def record_of(record: type[Record], section: Any) -> Record:
    """The record with the section's values, each in the form of its field: a list as a set, a section as a record. A
    field without a key of its name has its default."""
    return msgspec.convert(section, record, from_attributes=True)


def fields_of(record: type, section: Any, *, but: Collection[str] = ()) -> dict[str, Any]:
    """The same values as arguments, for a record that needs others as well. but: fields that mean something else than
    the key of their name."""
    return {
        name: msgspec.convert(getattr(section, name), form, from_attributes=True)
        for name, form in _forms(record).items()
        if name not in but and hasattr(section, name)
    }


@functools.cache
def _forms(record: type) -> dict[str, Any]:
    return get_type_hints(record)
