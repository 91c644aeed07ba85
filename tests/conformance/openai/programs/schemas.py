"""The types and the tool that programs ask with."""

from __future__ import annotations

import enum
from typing import Any

import pydantic

TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}


class Age(enum.Enum):
    THIRTY_SIX = 36


class Person(pydantic.BaseModel):
    name: str
    age: int


class Named(pydantic.BaseModel):
    """With what a dump shows in more than one way."""

    name: str = pydantic.Field(alias="name", serialization_alias="fullName")
    age: Age
    note: str | None = None


@pydantic.dataclasses.dataclass
class Pair:
    name: str
    age: int


class Turn(pydantic.BaseModel):
    role: str
    content: str
    name: str | None = None


class Record(pydantic.BaseModel):
    answer: Any


class Text(str):
    """As templates and parsers give it."""


class Number(float):
    pass
