"""What providers and servers list takes no configured name away: generated configurations and lists."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from meshd.compilation.compile import Compiled, Discovered
from meshd.routing.table.specs import UnknownModel
from tests.support.config.compiling import HOUSE, compiled

PROVIDERS = ("house", "house.two", "gpt", "other")
FOUND = ("ollama", "house-1", "house.two.x", "embeddings")
# Made of few parts, so that they collide as often as possible.
PARTS = st.sampled_from(["house", "two", "gpt", "gpt-4o", "embeddings", "chat-completion", "text-generation", "m", "x"])
NAMES = st.lists(PARTS, min_size=1, max_size=3).map(".".join)
KINDS = st.sampled_from([["chat-completion"], ["text-embeddings"], ["text-to-image"], []])
ENTRIES = st.lists(st.builds(lambda id, kinds: {"id": id, "capabilities": kinds}, NAMES, KINDS), max_size=6)


def section(base_url: str = "http://house/v1") -> dict[str, Any]:
    return {**HOUSE, "base_url": base_url}


@st.composite
def configurations(draw: st.DrawFn) -> dict[str, Any]:
    configured = draw(st.lists(st.sampled_from(PROVIDERS), min_size=1, unique=True))
    models = draw(
        st.dictionaries(
            NAMES,
            st.builds(
                lambda provider, model: {"provider": provider, "model": model, "capabilities": ["chat-completion"]},
                st.sampled_from(configured),
                NAMES,
            ),
            max_size=4,
        )
    )
    pools = draw(st.dictionaries(NAMES, st.just({"capability": "chat-completion"}), max_size=2))
    raw: dict[str, Any] = {"providers": {name: section() for name in configured}, "models": models}
    return raw | ({"pools": pools} if pools else {})


def meaning(made: Compiled, name: str) -> Any:
    try:
        target = made.table.resolve(name)
    except UnknownModel:
        return None
    if target.kind != "model":
        return target.kind, target.pool.name
    model = made.table.models[target.pool.members[0]]
    return target.kind, model.id, model.provider, model.upstream


@settings(max_examples=120)
@given(
    configurations(),
    st.dictionaries(st.sampled_from(PROVIDERS), ENTRIES),
    st.dictionaries(st.sampled_from(FOUND), ENTRIES),
)
def test_configured_names_mean_the_same_whatever_is_listed(
    raw: dict[str, Any], lists: dict[str, Any], found: dict[str, Any]
) -> None:
    alone = compiled(raw)
    listed = {name: Discovered(tuple(entries)) for name, entries in lists.items() if name in raw["providers"]}
    servers = {name: Discovered(tuple(entries), section()) for name, entries in found.items()}
    merged = {**raw, "providers": {**raw["providers"], **{name: section("http://127.0.0.1:1/v1") for name in servers}}}
    everything = compiled({**merged, "discovery": {"sync": {"auto_register": True}}}, listed | servers)
    names = [*raw["models"], *raw.get("pools", ()), *(model["model"] for model in raw["models"].values())]
    for name in names:
        if (before := meaning(alone, name)) is not None:
            assert meaning(everything, name) == before, name
    for id in raw["models"]:
        assert everything.table.models[id].provider == raw["models"][id]["provider"]
    # Nor does a server take anything from what the configured providers list.
    known = compiled({**raw, "discovery": {"sync": {"auto_register": True}}}, listed)
    for id, model in known.table.models.items():
        assert everything.table.models[id] == model
        for name in (id, model.upstream):
            if (before := meaning(known, name)) is not None and before[0] == "model":
                assert meaning(everything, name) in (before, before) or known.table.tree.resolve(name), name
    # Every model is its provider's, under its own name or a configured one, or a note says what is hidden.
    hidden = " ".join(everything.notes)
    for name, entries in {**lists, **found}.items():
        for entry in entries if name in merged["providers"] else ():
            id = f"{name}.{entry['id']}"
            model = everything.table.models.get(id)
            configured = any(
                (each["provider"], each["model"]) == (name, entry["id"]) for each in raw["models"].values()
            )
            assert configured or (model is not None and model.provider == name) or f"provider {name}:" in hidden


def test_what_is_hidden_is_said() -> None:
    providers = {"house": section(), "house.two": section(), "ollama": section("http://127.0.0.1:11434/v1")}
    models = {
        "ollama.gpt-4o": {"provider": "house", "model": "gpt-4o"},
        "gpt-4o": {"provider": "house", "model": "own"},
    }
    lists = {
        "house": Discovered(({"id": "two.m"},)),
        "ollama": Discovered(({"id": "gpt-4o"}, {"id": "own"}, {"id": "llama"}), section()),
    }
    raw = {"providers": providers, "models": models, "discovery": {"sync": {"auto_register": True}}}
    made = compiled(raw, lists)
    assert made.notes == [
        "provider house: the name house.two.m is taken; give its model another id in `models`",
        "provider ollama: the name ollama.gpt-4o is taken; give its model another id in `models`",
        "the server ollama lists own too: ask for ollama.own to get its own",
    ]
    assert meaning(made, "own") == ("model", "gpt-4o", "house", "own")
    assert meaning(made, "llama") == ("model", "ollama.llama", "ollama", "llama")
