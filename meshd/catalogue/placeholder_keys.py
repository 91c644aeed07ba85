"""Words that people write instead of a key (`placeholder_keys.toml`).

Must never: refuse a request because of one. A user's own server may accept any word as its key.
"""

from __future__ import annotations

import functools
import re
import tomllib
from pathlib import Path


@functools.cache
def _pattern() -> re.Pattern[str]:
    data = tomllib.loads(Path(__file__).with_name("placeholder_keys.toml").read_text("utf-8"))
    forms = [re.escape(row["text"]) for row in data["word"]] + [row["pattern"] for row in data["form"]]
    return re.compile("|".join(f"(?:{form})" for form in forms), re.IGNORECASE)


def is_placeholder(key: str) -> bool:
    return _pattern().fullmatch(key.strip()) is not None
