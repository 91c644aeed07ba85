# Generated from modelmesh/_async/client.py by client/sync_twins.py; edit that file.
"""`AsyncOpenAIClient` for asyncio, and `OpenAIClient`, which waits in the calling thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from modelmesh._connection.registry import ConnectionHandle
from modelmesh._shared.base_client import BaseClient
from modelmesh._sync.sender import Sender

if TYPE_CHECKING:
    from types import TracebackType

    from modelmesh._sync.resources.audio import Audio
    from modelmesh._sync.resources.batches import Batches
    from modelmesh._sync.resources.chat import Beta, Chat
    from modelmesh._sync.resources.completions import Completions
    from modelmesh._sync.resources.documents import Documents
    from modelmesh._sync.resources.embeddings import Embeddings
    from modelmesh._sync.resources.files import Files
    from modelmesh._sync.resources.images import Images
    from modelmesh._sync.resources.mesh import Mesh
    from modelmesh._sync.resources.models import Models
    from modelmesh._sync.resources.moderations import Moderations
    from modelmesh._sync.resources.rerank import Rerank
    from modelmesh._sync.resources.responses import Responses
    from modelmesh._sync.resources.search import Search
    from modelmesh._sync.resources.translate import Translate


class OpenAIClient(BaseClient):
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

    _sender: Sender

    # The parts, each imported when it is first used: most programs use one.

    @cached_property
    def chat(self) -> Chat:
        from modelmesh._sync.resources.chat import Chat

        return Chat(self._sender)

    @cached_property
    def completions(self) -> Completions:
        from modelmesh._sync.resources.completions import Completions

        return Completions(self._sender)

    @cached_property
    def embeddings(self) -> Embeddings:
        from modelmesh._sync.resources.embeddings import Embeddings

        return Embeddings(self._sender)

    @cached_property
    def responses(self) -> Responses:
        from modelmesh._sync.resources.responses import Responses

        return Responses(self._sender)

    @cached_property
    def audio(self) -> Audio:
        from modelmesh._sync.resources.audio import Audio

        return Audio(self._sender)

    @cached_property
    def images(self) -> Images:
        from modelmesh._sync.resources.images import Images

        return Images(self._sender)

    @cached_property
    def moderations(self) -> Moderations:
        from modelmesh._sync.resources.moderations import Moderations

        return Moderations(self._sender)

    @cached_property
    def rerank(self) -> Rerank:
        from modelmesh._sync.resources.rerank import Rerank

        return Rerank(self._sender)

    @cached_property
    def search(self) -> Search:
        from modelmesh._sync.resources.search import Search

        return Search(self._sender)

    @cached_property
    def translate(self) -> Translate:
        from modelmesh._sync.resources.translate import Translate

        return Translate(self._sender)

    @cached_property
    def documents(self) -> Documents:
        from modelmesh._sync.resources.documents import Documents

        return Documents(self._sender)

    @cached_property
    def files(self) -> Files:
        from modelmesh._sync.resources.files import Files

        return Files(self._sender)

    @cached_property
    def batches(self) -> Batches:
        from modelmesh._sync.resources.batches import Batches

        return Batches(self._sender)

    @cached_property
    def models(self) -> Models:
        from modelmesh._sync.resources.models import Models

        return Models(self._sender)

    @cached_property
    def mesh(self) -> Mesh:
        from modelmesh._sync.resources.mesh import Mesh

        return Mesh(self._sender)

    @property
    def beta(self) -> Beta:
        """The OpenAI SDK's older place for `chat.completions.parse` and `stream`."""
        from modelmesh._sync.resources.chat import Beta

        return Beta(self._sender)

    def close(self) -> None:
        """Release the connection; it is closed with the last client that uses it. Idempotent."""
        self._sender.handle.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def with_streaming_response(self) -> Any:
        """The same client, whose methods are context managers over an answer that is not read yet."""
        from modelmesh._sync.streaming_response import ManagedMethods, StreamingResponse

        return ManagedMethods(self._answering(StreamingResponse))

    def _make_sender(self, find: Callable[[], str], drain_slack: float, models: Sequence[str]) -> Sender:
        return Sender(self, ConnectionHandle(find, drain_slack), models)
