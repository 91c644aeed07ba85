"""`AsyncOpenAIClient` for asyncio, and `OpenAIClient`, which waits in the calling thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from modelmesh._async.sender import AsyncSender
from modelmesh._connection.async_registry import AsyncConnectionHandle
from modelmesh._shared.base_client import BaseClient

if TYPE_CHECKING:
    from types import TracebackType

    from modelmesh._async.resources.audio import AsyncAudio
    from modelmesh._async.resources.batches import AsyncBatches
    from modelmesh._async.resources.chat import AsyncBeta, AsyncChat
    from modelmesh._async.resources.completions import AsyncCompletions
    from modelmesh._async.resources.documents import AsyncDocuments
    from modelmesh._async.resources.embeddings import AsyncEmbeddings
    from modelmesh._async.resources.files import AsyncFiles
    from modelmesh._async.resources.images import AsyncImages
    from modelmesh._async.resources.mesh import AsyncMesh
    from modelmesh._async.resources.models import AsyncModels
    from modelmesh._async.resources.moderations import AsyncModerations
    from modelmesh._async.resources.rerank import AsyncRerank
    from modelmesh._async.resources.responses import AsyncResponses
    from modelmesh._async.resources.search import AsyncSearch
    from modelmesh._async.resources.translate import AsyncTranslate


class AsyncOpenAIClient(BaseClient):
    """The OpenAI API over the mesh's socket.

    `OpenAIClient` may be shared by threads, and used after a fork. `AsyncOpenAIClient` is for asyncio and uvloop, and
    may be used from several loops, in different threads or one after the other.

    socket: path, or `ipc://` or `tcp://` address of the daemon; found if None. timeout: seconds a call may
    take, including retries and a restart of the daemon, and then each chunk of a stream. app: a label for the daemon's
    log. drain_slack: seconds that a call waits for the next daemon, beyond the time that a draining one announced.
    curve_server_key, curve_secret_key: at a `tcp://` address of another machine, the daemon's public key and this
    client's secret one; else `MESH_CURVE_SERVER_KEY` and `MESH_CURVE_SECRET_KEY`, or these names in `client.toml`.
    Other arguments of the OpenAI SDK's client (`api_key`, `base_url`, …) are accepted, with a warning that they have no
    effect.

    Every method raises MeshError or a class below it: DaemonUnavailableError (no daemon answers; `.paths` lists where
    the client looked), RequestTimeoutError, and the daemon's errors.
    """

    _sender: AsyncSender

    # The parts, each imported when it is first used: most programs use one.

    @cached_property
    def chat(self) -> AsyncChat:
        from modelmesh._async.resources.chat import AsyncChat

        return AsyncChat(self._sender)

    @cached_property
    def completions(self) -> AsyncCompletions:
        from modelmesh._async.resources.completions import AsyncCompletions

        return AsyncCompletions(self._sender)

    @cached_property
    def embeddings(self) -> AsyncEmbeddings:
        from modelmesh._async.resources.embeddings import AsyncEmbeddings

        return AsyncEmbeddings(self._sender)

    @cached_property
    def responses(self) -> AsyncResponses:
        from modelmesh._async.resources.responses import AsyncResponses

        return AsyncResponses(self._sender)

    @cached_property
    def audio(self) -> AsyncAudio:
        from modelmesh._async.resources.audio import AsyncAudio

        return AsyncAudio(self._sender)

    @cached_property
    def images(self) -> AsyncImages:
        from modelmesh._async.resources.images import AsyncImages

        return AsyncImages(self._sender)

    @cached_property
    def moderations(self) -> AsyncModerations:
        from modelmesh._async.resources.moderations import AsyncModerations

        return AsyncModerations(self._sender)

    @cached_property
    def rerank(self) -> AsyncRerank:
        from modelmesh._async.resources.rerank import AsyncRerank

        return AsyncRerank(self._sender)

    @cached_property
    def search(self) -> AsyncSearch:
        from modelmesh._async.resources.search import AsyncSearch

        return AsyncSearch(self._sender)

    @cached_property
    def translate(self) -> AsyncTranslate:
        from modelmesh._async.resources.translate import AsyncTranslate

        return AsyncTranslate(self._sender)

    @cached_property
    def documents(self) -> AsyncDocuments:
        from modelmesh._async.resources.documents import AsyncDocuments

        return AsyncDocuments(self._sender)

    @cached_property
    def files(self) -> AsyncFiles:
        from modelmesh._async.resources.files import AsyncFiles

        return AsyncFiles(self._sender)

    @cached_property
    def batches(self) -> AsyncBatches:
        from modelmesh._async.resources.batches import AsyncBatches

        return AsyncBatches(self._sender)

    @cached_property
    def models(self) -> AsyncModels:
        from modelmesh._async.resources.models import AsyncModels

        return AsyncModels(self._sender)

    @cached_property
    def mesh(self) -> AsyncMesh:
        from modelmesh._async.resources.mesh import AsyncMesh

        return AsyncMesh(self._sender)

    @property
    def beta(self) -> AsyncBeta:
        """The OpenAI SDK's older place for `chat.completions.parse` and `stream`."""
        from modelmesh._async.resources.chat import AsyncBeta

        return AsyncBeta(self._sender)

    async def close(self) -> None:
        """Release the connection; it is closed with the last client that uses it. Idempotent."""
        self._sender.handle.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def with_streaming_response(self) -> Any:
        """The same client, whose methods are context managers over an answer that is not read yet."""
        from modelmesh._async.streaming_response import AsyncManagedMethods, AsyncStreamingResponse

        return AsyncManagedMethods(self._answering(AsyncStreamingResponse))

    def _make_sender(self, find: Callable[[], str], drain_slack: float, models: Sequence[str]) -> AsyncSender:
        return AsyncSender(self, AsyncConnectionHandle(find, drain_slack), models)
