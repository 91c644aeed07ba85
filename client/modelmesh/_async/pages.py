"""Lists that come in pages."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING, Any, Self

from modelmesh._shared.base_sender import as_read
from modelmesh.types import AsyncPages, ItemPage, async_page

if TYPE_CHECKING:
    from modelmesh._async.sender import AsyncSender


class AsyncCursorPage(ItemPage):
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

    async def get_next_page(self) -> Self:
        """Raises RuntimeError if there is none."""
        if not self.has_next_page():
            raise RuntimeError("There is no next page: check `.has_next_page()` first.")
        return await self._following(str(self.last_id))  # type: ignore[no-any-return]

    async def iter_pages(self) -> AsyncIterator[Self]:
        yield self
        current = self
        while current.has_next_page():
            current = await current.get_next_page()
            yield current

    async def __aiter__(self) -> AsyncIterator[Any]:
        async for current in self.iter_pages():
            for item in current.data:
                yield item


def async_pages(
    sender: AsyncSender, path: str, query: Mapping[str, Any], **options: Any
) -> AsyncPages[AsyncCursorPage]:
    """The list at a path. query: parameters, None for those that are not given. options: as for `call`."""

    async def ask(sender: AsyncSender = sender, **after: str) -> Any:
        wanted = {**query, **(options.get("extra_query") or {}), **after}
        given = {name: value for name, value in wanted.items() if value is not None}
        answer = await sender.send("GET", path, AsyncCursorPage, **{**options, "extra_query": given})
        return as_read(answer, lambda first: first.followed_by(lambda id: ask(sender.answering(None), after=id)))

    found: AsyncPages[AsyncCursorPage] = async_page(ask)
    return found
