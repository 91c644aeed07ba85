"""What the site has beside docs/: the changelog, and how to report a vulnerability. Links to code are shown as code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[2]
_BESIDE = ("CHANGELOG.md", "SECURITY.md")
_LINK = re.compile(r"\[([^\]]*)\]\(((?:\.\./)+)([^)#\s]+)(#[^)]*)?\)")
_TO_DOCS = re.compile(r"\]\(docs/")


def on_files(files: Any, config: Any) -> Any:
    for name in _BESIDE:
        text = _TO_DOCS.sub("](../", (ROOT / name).read_text(encoding="utf-8"))
        files.append(File.generated(config, f"project/{name}", content=text))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    up = "../" * page.file.src_uri.count("/")

    def linked(link: re.Match[str]) -> str:
        text, ups, target, anchor = link[1], link[2], link[3], link[4] or ""
        if len(ups) <= len(up):  # below docs/
            return link[0]
        if target in _BESIDE:
            return f"[{text}]({up}project/{target}{anchor})"
        if target == "README.md":
            return f"[{text}]({up}index.md)"
        return text if text.startswith("`") else f"{text} (`{target}`)"

    return _LINK.sub(linked, markdown)
