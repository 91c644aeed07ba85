"""Writes the catalogue into docs/providers.md: `python -m meshd.config.write.providers_page`.

Owns: the part of that page between its two marks. All facts in it come from the catalogue.
Must never: change the rest of the page.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

from meshd.catalogue.known import ModelRow, ProviderRow, load_models, load_provider_rows

PAGE = Path("docs") / "providers.md"
BEGIN = "<!-- Written by `python -m meshd.config.write.providers_page` from the catalogue. Change that, not this. -->\n"
END = "<!-- The end of what is written. -->\n"

_HEADINGS = ("provider", "other ids", "key from", "formats", "capabilities", "models", "sources")
_URL = re.compile(r"https://[^\s,)]+")


def written(page: str) -> str:
    """The page with its generated part replaced. Raises ValueError if its marks are missing."""
    before, found, rest = page.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not found or not ended:
        raise ValueError(f"{PAGE} has no part that is generated from the catalogue")
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def table() -> str:
    rows = [_HEADINGS, ("---",) * len(_HEADINGS), *map(_cells, load_provider_rows())]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in rows)


def _cells(row: ProviderRow) -> tuple[str, ...]:
    models = load_models(row.id)
    speaks = row.quirks.get("speaks", "openai")
    formats = (speaks,) if isinstance(speaks, str) else speaks
    keys = row.key_env or ((f"none ({row.port})",) if row.port else ())
    return (
        f"`{row.id}`: {row.description}",
        _listed(row.aliases, code=True),
        _listed(keys, code=bool(row.key_env)),
        _listed(formats),
        _listed(row.capabilities),
        _counted(models),
        f"{_listed(_sites([row.source, *(model.source for model in models)]))} ({_newest(row, models)})",
    )


def _counted(models: Iterable[ModelRow]) -> str:
    priced = [model.pricing is not None for model in models]
    if not priced:
        return "those that it lists"
    return f"{len(priced)}" if all(priced) else f"{len(priced)}, {sum(priced)} with prices"


def _sites(sources: Iterable[str]) -> list[str]:
    hosts = [urlsplit(url).hostname or "" for source in sources for url in _URL.findall(source)]
    return list(dict.fromkeys(host.removeprefix("www.") for host in hosts))


def _newest(row: ProviderRow, models: Iterable[ModelRow]) -> str:
    return max([row.date, *(model.date for model in models)])


def _listed(names: Iterable[str], *, code: bool = False) -> str:
    return ", ".join(f"`{name}`" if code else name for name in names)


def main(arguments: list[str]) -> int:
    target = Path(arguments[0]) if arguments else PAGE
    target.write_text(written(target.read_text("utf-8")), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
