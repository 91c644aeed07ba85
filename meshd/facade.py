"""The proxies that `ModelMesh` returns: objects whose methods send messages to the actors.

Owns: the shapes that programs see.
Must never: keep state; two calls may see different moments.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from operator import attrgetter
from typing import Any, Protocol

import msgspec

from meshd.config import MeshConfig
from meshd.operations.known import of_body
from meshd.routing.table.capabilities import PREDEFINED_POOLS
from modelmesh.errors import MeshError, NotFoundError


class Mailboxes(Protocol):
    """The part of a running mesh that the proxies use: each call is a message to an actor."""

    @property
    def config(self) -> MeshConfig: ...

    def command(
        self, method: str, path: str, body: dict[str, Any] | None = None, query: dict[str, str] | None = None
    ) -> Any: ...

    def reload_config(self, config: MeshConfig) -> Any: ...

    def get_client(self, **options: Any) -> Any: ...


class RoutingDecision(msgspec.Struct, frozen=True):
    """What would be chosen now, and why the others would not. model: None if no model can be asked."""

    model: str | None
    pool: str
    order: tuple[str, ...]
    reasons: Mapping[str, str]


class Explanation(msgspec.Struct, frozen=True):
    """A decision stage by stage, as `meshctl explain` shows it."""

    asked: str
    pool: str
    strategy: str
    stages: tuple[Mapping[str, Any], ...]
    order: tuple[str, ...]
    chosen: str | None
    details: Mapping[str, Any] = {}


class Router:
    """Deciding and asking, from any thread."""

    def __init__(self, mesh: Mailboxes) -> None:
        self._mesh = mesh

    def route(self, capability: str, options: Mapping[str, Any] | None = None) -> RoutingDecision:
        """Decide only: nothing is sent. options: fields of an OpenAI request. Raises MeshError."""
        explained = self.explain({"model": capability, **(options or {})})
        reasons = {drop["model"]: drop["reason"] for stage in explained.stages for drop in stage["dropped"]}
        return RoutingDecision(explained.chosen, explained.pool, explained.order, reasons)

    def explain(self, request: Mapping[str, Any]) -> Explanation:
        """Every candidate, every reason. Raises MeshError."""
        found = self._mesh.command("POST", "/mesh/v1/explain", {"messages": [], **request})
        return Explanation(
            found["asked"],
            found["pool"],
            found["strategy"],
            tuple(found["stages"]),
            tuple(found["order"]),
            found["chosen"],
            found,
        )

    def complete(self, capability: str, request: Mapping[str, Any]) -> Any:
        """One answer, as a typed object; the endpoint follows from the request's shape. Raises MeshError."""
        with self._mesh.get_client() as client:
            return _ask(client, capability, request)

    def stream(self, capability: str, request: Mapping[str, Any]) -> Iterator[Any]:
        """The chunks of one answer. Raises MeshError."""
        with self._mesh.get_client() as client, _ask(client, capability, {**request, "stream": True}) as chunks:
            yield from chunks

    def batch(self, capability: str, requests: Iterable[Mapping[str, Any]], parallel: int = 8) -> list[Any]:
        """An answer or a MeshError for each request, in their order; `parallel` at a time."""
        from concurrent.futures import ThreadPoolExecutor

        if parallel < 1:
            raise ValueError(f"parallel: at least 1 at a time, not {parallel}")
        with self._mesh.get_client() as client, ThreadPoolExecutor(parallel) as pool:

            def one(request: Mapping[str, Any]) -> Any:
                try:
                    return _ask(client, capability, request)
                except MeshError as error:
                    return error

            return list(pool.map(one, requests))

    def get_pool(self, name: str) -> CapabilityPool:
        """Raises NotFoundError."""
        self._mesh.command("GET", f"/mesh/v1/pools/{name}")
        return CapabilityPool(self._mesh, name)

    def list_pools(self) -> list[str]:
        return [pool["name"] for pool in self._mesh.command("GET", "/mesh/v1/pools")["data"]]

    def rotate(self, pool: str) -> str:
        """Move a pool to its next active model; that model's id. Raises MeshError if there is none."""
        return str(self._mesh.command("POST", "/mesh/v1/rotate", {"pool": pool})["to"])


def _ask(client: Any, capability: str, request: Mapping[str, Any]) -> Any:
    operation = of_body(request, capability)
    return attrgetter(operation.method or f"{operation.name}.create")(client)(**{"model": capability, **request})


class CapabilityPool:
    """A pool by name."""

    def __init__(self, mesh: Mailboxes, name: str) -> None:
        self._mesh = mesh
        self.name = name

    @property
    def capability(self) -> str:
        return str(self.get_state()["capability"])

    @property
    def strategy(self) -> str:
        return str(self.get_state()["strategy"])

    def get_state(self) -> dict[str, Any]:
        found: dict[str, Any] = self._mesh.command("GET", f"/mesh/v1/pools/{self.name}")
        return found

    def get_active_models(self) -> list[str]:
        """Models that may be asked now, including those on probation."""
        return [model["id"] for model in self.get_state()["models"] if model["status"] != "standby"]

    def get_standby_models(self) -> dict[str, str]:
        """Model id → why."""
        return {model["id"]: model["reason"] for model in self.get_state()["models"] if model["status"] == "standby"}

    def select(self, options: Mapping[str, Any] | None = None) -> str | None:
        """The model that a request would go to now."""
        return Router(self._mesh).route(self.name, options).model

    def add_model(self, model: str) -> None:
        """Make a model a member of the pool, by a reload; if it was excluded, it no longer is. Raises
        ConfigurationError."""
        pool = self._mesh.config.pools.get(self.name)
        models = list(pool.models) if pool is not None else []
        excluded = list(pool.excluded_models) if pool is not None else []
        settings: dict[str, Any] = {}
        if model in excluded:
            settings["excluded_models"] = [each for each in excluded if each != model]
        if model not in models and (model not in self._members() or excluded):
            settings["models"] = [*models, model]
        if settings:
            self._change(settings)

    def remove_model(self, model: str) -> None:
        """Exclude a model from the pool, by a reload. Raises ConfigurationError."""
        pool = self._mesh.config.pools.get(self.name)
        excluded = list(pool.excluded_models) if pool is not None else []
        if model not in excluded:
            self._change({"excluded_models": [*excluded, model]})

    def _members(self) -> list[str]:
        return [model["id"] for model in self.get_state()["models"]]

    def _change(self, settings: dict[str, Any]) -> None:
        """Reload with these settings of the pool. Pools that exist only because no pool is configured are configured as
        well, since they would disappear otherwise."""
        config = self._mesh.config
        pools: dict[str, dict[str, Any]] = {}
        for pool in self._mesh.command("GET", "/mesh/v1/pools")["data"]:
            if pool["name"] == self.name:
                # Set explicitly: in a pool with a list of models, the name no longer implies the capability.
                settings = {**({"capability": pool["capability"]} if pool["capability"] else {}), **settings}
            elif not config.pools and pool["name"] not in PREDEFINED_POOLS:
                pools[pool["name"]] = {"capability": pool["capability"]}
        self._mesh.reload_config(config.merge({"pools": {**pools, self.name: settings}}))

    def deactivate(self, model: str, reason: str = "") -> None:
        """Take a model out of service by hand, kept across restarts."""
        self._mesh.command("POST", "/mesh/v1/models/deactivate", {"id": model, "reason": reason})

    def recover(self, model: str) -> None:
        """Undo a deactivation, and end every cooldown of the model."""
        self._mesh.command("POST", "/mesh/v1/models/activate", {"id": model})


class Model:
    """A model by id."""

    def __init__(self, mesh: Mailboxes, id: str) -> None:
        self._mesh = mesh
        self.id = id

    def get_state(self) -> dict[str, Any]:
        found: dict[str, Any] = self._mesh.command("GET", "/mesh/v1/models", query={"id": self.id})["data"][0]
        return found

    def get_capabilities(self) -> list[str]:
        return list(self.get_state()["capabilities"])

    def get_delivery_modes(self) -> list[str]:
        return list(self.get_state()["delivery"])

    def get_features(self) -> list[str] | None:
        """The features it declares; None if unknown."""
        features = self.get_state()["features"]
        return None if features is None else list(features)

    def get_constraints(self) -> dict[str, int | None]:
        state = self.get_state()
        return {key: state[key] for key in ("context_window", "max_output_tokens", "max_images")}

    def reset_state(self) -> None:
        self._mesh.command("POST", "/mesh/v1/models/activate", {"id": self.id})


class Provider:
    """A provider by name."""

    def __init__(self, mesh: Mailboxes, name: str) -> None:
        self._mesh = mesh
        self.name = name

    def _state(self) -> dict[str, Any]:
        found: dict[str, Any] = self._mesh.command("GET", "/mesh/v1/providers", query={"name": self.name})["data"][0]
        return found

    def get_health(self) -> dict[str, Any]:
        state = self._state()
        return {key: state[key] for key in ("available", "auth_valid", "score", "last_probe", "latency", "reason")}

    def is_available(self) -> bool:
        return bool(self._state()["available"])

    def get_models(self) -> list[Model]:
        return ModelRegistry(self._mesh).find_by_provider(self.name)

    def execute(self, model: str, request: Mapping[str, Any]) -> Any:
        """One answer from one of its models (by its id here, or the provider's), without rotation.

        Raises MeshError; NotFoundError for a model of another provider.
        """
        ids = {known.id for known in self.get_models()}
        wanted = next((id for id in (model, f"{self.name}.{model}") if id in ids), None)
        if wanted is None:
            raise NotFoundError(f"{self.name} has no model {model!r}; it has {', '.join(sorted(ids)) or 'none'}")
        return Router(self._mesh).complete(wanted, request)


class ModelRegistry:
    """All models."""

    def __init__(self, mesh: Mailboxes) -> None:
        self._mesh = mesh

    def _all(self) -> list[dict[str, Any]]:
        return list(self._mesh.command("GET", "/mesh/v1/models")["data"])

    def get_model(self, id: str) -> Model:
        """Raises NotFoundError."""
        self._mesh.command("GET", "/mesh/v1/models", query={"id": id})
        return Model(self._mesh, id)

    def list_models(self) -> list[Model]:
        return [Model(self._mesh, model["id"]) for model in self._all()]

    def get_provider(self, name: str) -> Provider:
        """Raises NotFoundError."""
        self._mesh.command("GET", "/mesh/v1/providers", query={"name": name})
        return Provider(self._mesh, name)

    def find_by_capability(self, capability: str) -> list[Model]:
        """Models at this node, or below it. Raises KeyError for an unknown capability."""
        tree = self._mesh.config.capability_tree()
        node = tree.get_node(capability)
        return [
            Model(self._mesh, model["id"])
            for model in self._all()
            if any(tree.covers(node, leaf) for leaf in model["capabilities"])
        ]

    def find_by_provider(self, provider: str) -> list[Model]:
        return [Model(self._mesh, model["id"]) for model in self._all() if model["provider"] == provider]

    def register(self, id: str, **settings: Any) -> Model:
        """Add a model (the keys of `models.ID`), by a reload. Raises ConfigurationError."""
        self._mesh.reload_config(self._mesh.config.merge({"models": {id: {"enabled": True, **settings}}}))
        return Model(self._mesh, id)

    def unregister(self, id: str) -> None:
        """Switch a model off, by a reload. Raises NotFoundError."""
        if id not in self._mesh.config.models:
            self.get_model(id)
        self._mesh.reload_config(self._mesh.config.merge({"models": {id: {"enabled": False}}}))

    def refresh(self) -> list[dict[str, Any]]:
        """Read every provider's model list now."""
        return list(self._mesh.command("POST", "/mesh/v1/discover")["data"])


class Stats:
    """Counts, tokens, cost and latencies; None for a name without any."""

    def __init__(self, mesh: Mailboxes) -> None:
        self._mesh = mesh

    def _one(self, scope: str, name: str) -> dict[str, Any] | None:
        rows = self._mesh.command("GET", "/mesh/v1/stats", query={"by": scope, "name": name})["data"]
        return rows[0] if rows else None

    def model(self, id: str) -> dict[str, Any] | None:
        return self._one("model", id)

    def provider(self, id: str) -> dict[str, Any] | None:
        return self._one("provider", id)

    def pool(self, name: str) -> dict[str, Any] | None:
        return self._one("pool", name)

    def app(self, name: str) -> dict[str, Any] | None:
        return self._one("app", name)
