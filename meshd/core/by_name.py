"""Makes the records that the daemon works with from sections of the configuration: a field takes the value of the key
of the same name, so a new one needs no line where the section becomes the record.

Must never: know a section or a record.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any, TypeVar

import msgspec

Record = TypeVar("Record")


def record_of(record: type[Record], section: Any) -> Record:
    """The record with the section's values, each in the form of its field: a list as a set, a section as a record. A
    field without a key of its name has its default."""
    return msgspec.convert(section, record, from_attributes=True)


def fields_of(record: Any, section: Any, policies: Mapping[str, type], *, but: Collection[str] = ()) -> dict[str, Any]:
    """The same values as arguments, for a dataclass that needs others as well. policies: of the fields that are records
    themselves; a compiled class does not keep its annotations. but: fields that mean something else than the key of
    their name."""
    found: dict[str, Any] = {}
    for field in dataclasses.fields(record):
        name = field.name
        if name not in but and hasattr(section, name):
            value, policy = getattr(section, name), policies.get(name)
            found[name] = value if policy is None or value is None else record_of(policy, value)
    return found
