"""`client.models`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator, Mapping
from typing import TYPE_CHECKING, Any, Final

from modelmesh._options import NOT_GIVEN, quoted
from modelmesh._raw import Answers
from modelmesh._types import Model, ModelPage

if TYPE_CHECKING:
    from modelmesh._async_client import AsyncOpenAIClient
    from modelmesh._base_client import Operation
    from modelmesh._client import OpenAIClient

PATH: Final = "/v1/models"


class Models(Answers):
    _called = "client.models"

    def __init__(self, client: OpenAIClient) -> None:
        self._client = client

    def list(
        self,
        *,
        timeout: Any = NOT_GIVEN,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, Any] | None = None,
        extra_body: Mapping[str, Any] | None = None,
    ) -> ModelPage:
        """Every pool, capability and model that `model=` may name; iterates over Model."""
        client = self._client
        return client._send(  # type: ignore[no-any-return]
            client._operation("GET", PATH, ModelPage, **_options(timeout, extra_headers, extra_query))
        )

    def retrieve(
        self,
        model: str,
        *,
        timeout: Any = NOT_GIVEN,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, Any] | None = None,
        extra_body: Mapping[str, Any] | None = None,
    ) -> Model:
        """One of them. Raises NotFoundError."""
        client = self._client
        return client._send(  # type: ignore[no-any-return]
            client._operation("GET", _one(model), Model, **_options(timeout, extra_headers, extra_query))
        )


class AsyncModels(Answers):
    _called = "client.models"

    def __init__(self, client: AsyncOpenAIClient) -> None:
        self._client = client

    def list(
        self,
        *,
        timeout: Any = NOT_GIVEN,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, Any] | None = None,
        extra_body: Mapping[str, Any] | None = None,
    ) -> AsyncModelList:
        """Every pool, capability and model that `model=` may name: `await` gives the page, `async for` each."""
        client = self._client
        return AsyncModelList(
            client, client._operation("GET", PATH, ModelPage, **_options(timeout, extra_headers, extra_query))
        )

    async def retrieve(
        self,
        model: str,
        *,
        timeout: Any = NOT_GIVEN,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, Any] | None = None,
        extra_body: Mapping[str, Any] | None = None,
    ) -> Model:
        """One of them. Raises NotFoundError."""
        client = self._client
        return await client._send(  # type: ignore[no-any-return]
            client._operation("GET", _one(model), Model, **_options(timeout, extra_headers, extra_query))
        )


class AsyncModelList:
    """Awaitable, and iterable without awaiting it first."""

    def __init__(self, client: AsyncOpenAIClient, operation: Operation) -> None:
        self._client = client
        self._operation = operation

    def __await__(self) -> Generator[Any, None, ModelPage]:
        return self._client._send(self._operation).__await__()

    async def __aiter__(self) -> AsyncIterator[Model]:
        for model in await self:
            yield model


def _options(timeout: Any, headers: Any, query: Any) -> dict[str, Any]:
    """Options without a body: a list is requested without one, even if the program gives one."""
    return {"timeout": timeout, "extra_headers": headers, "extra_query": query}


def _one(model: str) -> str:
    if not model:
        raise ValueError("a model's id is needed")
    return f"{PATH}/{quoted(model, safe='/')}"
