# Generated from modelmesh/_async/resources/mesh.py by client/sync_twins.py; edit that file.
"""`client.mesh`: what the mesh adds to the OpenAI API.

Paths and shapes are those of `docs/protocol.md`; every answer is a JSON object, lists are under `data`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from modelmesh._objects.object import Object
from modelmesh._openai_sdk.arguments import NOT_GIVEN
from modelmesh._shared.base_sender import as_read
from modelmesh._shared.options import quoted
from modelmesh._sync.stream import Stream

if TYPE_CHECKING:
    from modelmesh._sync.sender import Sender

_BASE = "/mesh/v1"


def _data(answer: Any) -> list[Any]:
    return as_read(answer, lambda told: told.data if "data" in told.to_dict() else [])  # type: ignore[no-any-return]


def _may_be_asked(provider: Object) -> bool:
    fields = provider.to_dict()
    return bool(fields.get("enabled", True) and fields.get("available", True))


def _pool_path(name: str) -> str:
    return f"{_BASE}/pools/{quoted(name)}"


def _matches(capability: Any, keyword: str) -> bool:
    text = capability if isinstance(capability, str) else f"{_id(capability)} {getattr(capability, 'aliases', '')}"
    return keyword.lower() in text.lower()


def _id(capability: Any) -> str:
    if isinstance(capability, str):
        return capability
    fields = capability.to_dict()
    return str(fields.get("id") or fields.get("path") or "")


def _resolved(capabilities: list[Any], alias: str) -> str:
    """The full path of an alias: the only path that ends in it. Raises ValueError."""
    paths = [_id(capability) for capability in capabilities]
    if alias in paths:
        return alias
    found = [path for path in paths if path.endswith("." + alias)]
    if len(found) == 1:
        return found[0]
    if found:
        raise ValueError(f"{alias!r} is ambiguous: {', '.join(found)}")
    raise ValueError(f"no capability is called {alias!r}")


class Capabilities:
    """`client.mesh.capabilities`: the capability tree."""

    def __init__(self, mesh: Mesh) -> None:
        self._mesh = mesh

    def list_all(self) -> list[Any]:
        """Every capability the daemon knows, as it describes them."""
        return _data(self._mesh.request("GET", f"{_BASE}/capabilities"))

    def resolve(self, alias: str) -> str:
        """An alias's full path (`chat-completion` → `generation.text-generation.chat-completion`).

        Raises ValueError if it is unknown or ambiguous.
        """
        return as_read(self.list_all(), lambda all: _resolved(all, alias))  # type: ignore[no-any-return]

    def search(self, keyword: str) -> list[Any]:
        """The capabilities whose path or aliases contain a keyword, whatever its case."""
        found = self.list_all()
        return as_read(found, lambda all: [each for each in all if _matches(each, keyword)])  # type: ignore[no-any-return]


class Mesh:
    """`client.mesh`."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self.capabilities = Capabilities(self)

    def request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        stream: bool = False,
        *,
        timeout: Any = NOT_GIVEN,
    ) -> Any:
        """Any path of the daemon: an Object, or with `stream` a stream of them."""
        return self._sender.send(method, path, Object, body, stream=stream, timeout=timeout)

    def status(self) -> Object:
        """The daemon's state: version, uptime, actors, requests in flight, last reload."""
        return self.request("GET", f"{_BASE}/status")  # type: ignore[no-any-return]

    def pools(self) -> list[Any]:
        """Every pool with its state."""
        return _data(self.request("GET", f"{_BASE}/pools"))

    def pool_status(self, name: str | None = None) -> Any:
        """One pool's state as an Object, or without a name a dict of all, by name. Raises NotFoundError."""
        if name is None:
            return as_read(self.pools(), lambda pools: {pool.name: pool for pool in pools})
        return self.request("GET", _pool_path(name))

    def models(self) -> list[Any]:
        """Every model with its live state."""
        return _data(self.request("GET", f"{_BASE}/models"))

    def providers(self) -> list[Any]:
        """Every provider with its state."""
        return _data(self.request("GET", f"{_BASE}/providers"))

    def apps(self) -> list[Any]:
        """Every app with its rules and its use; only this one unless the caller is an administrator."""
        return _data(self.request("GET", f"{_BASE}/apps"))

    def budget(self) -> list[Any]:
        """Every limit with what is spent and reserved, and its reset; other apps' only for an administrator.

        Money is in USD (`measure` is "cost"), `requests` and `tokens` are counts.
        """
        return _data(self.request("GET", f"{_BASE}/budget"))

    def active_providers(self) -> list[Any]:
        """The providers that may be asked now: enabled and available."""
        found = self.providers()
        return as_read(found, lambda all: [each for each in all if _may_be_asked(each)])  # type: ignore[no-any-return]

    def explain(self, *, model: str, **request: Any) -> Object:
        """Which model a request would get, and why not the others. No provider is asked."""
        return self.request("POST", f"{_BASE}/explain", {"model": model, **request})  # type: ignore[no-any-return]

    def rotate(self, pool: str) -> Object:
        """Move a pool to its next model; only for administrators. Raises AccessDeniedError."""
        return self.request("POST", f"{_BASE}/rotate", {"pool": pool})  # type: ignore[no-any-return]

    def describe(self) -> Object:
        """What this mesh offers: pools, capabilities, models."""
        return self.request("GET", f"{_BASE}/describe")  # type: ignore[no-any-return]

    def events(self) -> Stream[Object]:
        """A live iterator over events (type, time, ids, reason); it ends only when it is closed."""
        return self._sender.listen("GET", f"{_BASE}/events")
