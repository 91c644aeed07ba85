"""The keys that the connectors take, which validation and `meshctl connectors` know."""

from pydantic import BaseModel, Field


class ParrotSettings(BaseModel):
    greeting: str = Field(default="Squawk", description="How it begins.")


class PathSettings(BaseModel):
    path: str = Field(description="The file or folder.")


class WordSettings(BaseModel):
    words: tuple[str, ...] = Field(description="In lower case.")
