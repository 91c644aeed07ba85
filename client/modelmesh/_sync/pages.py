# Generated from modelmesh/_async/pages.py by client/sync_twins.py; edit that file.
"""Lists that come in pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Self

from modelmesh._shared.base_sender import as_read
from modelmesh.types import ItemPage, Pages, page

if TYPE_CHECKING:
    from modelmesh._sync.sender import Sender


class CursorPage(ItemPage):
    """A page. Iterating over it gives its items, then those of the pages that follow."""

    __slots__ = ("_following",)  # not a field
    _following: Callable[[str], Any]

    def followed_by(self, ask: Callable[[str], Any]) -> Self:
        """ask: for the page after the item of that id."""
        self._following = ask
        return self

    def has_next_page(self) -> bool:
        return bool(self.data and self.has_more)

    def next_page_info(self) -> dict[str, Any] | None:
        """The query's parameters for the next page."""
        return {"after": self.last_id} if self.has_next_page() else None

    def get_next_page(self) -> Self:
        """Raises RuntimeError if there is none."""
        if not self.has_next_page():
            raise RuntimeError("There is no next page: check `.has_next_page()` first.")
        return self._following(str(self.last_id))  # type: ignore[no-any-return]

    def iter_pages(self) -> Iterator[Self]:
        yield self
        current = self
        while current.has_next_page():
            current = current.get_next_page()
            yield current

    def __iter__(self) -> Iterator[Any]:
        for current in self.iter_pages():
            yield from current.data


def pages(sender: Sender, path: str, query: Mapping[str, Any], **options: Any) -> Pages[CursorPage]:
    """The list at a path. query: parameters, None for those that are not given. options: as for `call`."""

    def ask(sender: Sender = sender, **after: str) -> Any:
        wanted = {**query, **(options.get("extra_query") or {}), **after}
        given = {name: value for name, value in wanted.items() if value is not None}
        answer = sender.send("GET", path, CursorPage, **{**options, "extra_query": given})
        return as_read(answer, lambda first: first.followed_by(lambda id: ask(sender.answering(None), after=id)))

    found: Pages[CursorPage] = page(ask)
    return found
