"""The capability tree: what models can do, and what a pool may target.

Owns: the nodes, their aliases and the arithmetic between them.
Must never: know models or pools, which contain node ids.

An id is the dotted path from the root's child (`generation.text-generation.chat-completion`); a segment that is unique
in the whole tree is an alias of its path. Rule: docs/configuration.md, capabilities.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from modelmesh.wording import nearest

_STANDARD: dict[str, Any] = {
    "generation": {
        "text-generation": ["chat-completion", "text-completion", "code-generation"],
        "structured-generation": ["json-generation", "schema-constrained-output", "function-call-generation"],
        "image-generation": ["text-to-image", "image-to-image", "inpainting"],
        "audio-generation": ["text-to-speech", "music-generation"],
        "video-generation": ["text-to-video", "image-to-video"],
    },
    "understanding": {
        "text-understanding": ["summarization", "classification", "sentiment-analysis", "entity-extraction"],
        "vision-understanding": ["image-captioning", "object-detection", "ocr"],
        "audio-understanding": ["speech-to-text", "speaker-identification", "audio-classification"],
        "document-understanding": ["document-parsing", "table-extraction", "form-extraction"],
    },
    "transformation": {
        "translation": {},
        "rewriting": {},
        "style-transfer": {},
        "image-editing": ["background-removal", "upscaling", "format-conversion"],
        "audio-processing": ["noise-reduction", "voice-cloning", "audio-separation"],
    },
    "representation": {
        "embeddings": ["text-embeddings", "image-embeddings", "multimodal-embeddings"],
        "tokenization": {},
        "feature-extraction": {},
    },
    "retrieval": {
        "search": ["semantic-search", "web-search", "image-search", "code-search"],
        "knowledge-graph": ["graph-query", "entity-linking", "relation-extraction"],
        "rag": ["retrieval-augmented-generation", "grounded-generation"],
        "reranking": {},
    },
    "interaction": {
        "tool-calling": {},
        "agent-execution": ["single-step-agent", "multi-step-agent"],
        "multi-turn-conversation": {},
    },
    "evaluation": {
        "content-moderation": {},
        "toxicity-detection": {},
        "factuality-checking": {},
        "quality-scoring": {},
    },
}

PREDEFINED_POOLS: Mapping[str, str] = {
    "text-generation": "generation.text-generation",
    "structured-generation": "generation.structured-generation",
    "image-generation": "generation.image-generation",
    "embeddings": "representation.embeddings",
    "speech-to-text": "understanding.audio-understanding.speech-to-text",
    "text-to-speech": "generation.audio-generation.text-to-speech",
    "vision-understanding": "understanding.vision-understanding",
    "web-search": "retrieval.search.web-search",
    "translation": "transformation.translation",
    "document-parsing": "understanding.document-understanding.document-parsing",
    "toxicity-detection": "evaluation.toxicity-detection",
}
"""Pool name → node, for pools that exist when no pool of that name is configured and a model fits."""


class CapabilityTree:
    """Nodes by id. Built while a configuration is read, then only queried."""

    def __init__(self) -> None:
        self._children: dict[str, list[str]] = {"": []}
        self._by_segment: dict[str, list[str]] = {}

    @classmethod
    def default(cls) -> CapabilityTree:
        """The tree that configurations extend."""
        tree = cls()
        tree.add_all(_STANDARD)
        return tree

    # -- growing --------------------------------------------------------------------------------------

    def add_node(self, parent: str, name: str) -> str:
        """Add a node under `parent` ("" for a new category; an id or alias); its id. Adding one twice is allowed.

        Raises KeyError for an unknown parent, ValueError for a name with a dot in it or an empty one.
        """
        if not name or "." in name:
            raise ValueError(f"a capability's name is one segment without dots, not {name!r}")
        parent_id = self._require(parent) if parent else ""
        node = f"{parent_id}.{name}" if parent_id else name
        if node not in self._children:
            self._children[node] = []
            self._children[parent_id].append(node)
            self._by_segment.setdefault(name, []).append(node)
        return node

    def add_all(self, section: Mapping[str, Any] | Iterable[Any], parent: str = "") -> None:
        """Add nested maps and lists of names, as the configuration's `capabilities:` section writes them.

        A top-level name that is already a node (by id or alias) is extended in place.
        """
        items = section.items() if isinstance(section, Mapping) else ((name, None) for name in section)
        for name, below in items:
            existing = self.resolve(name) if not parent else None
            node = existing or self.add_node(parent, str(name))
            if below:
                self.add_all(below, node)

    # -- asking ---------------------------------------------------------------------------------------

    def resolve(self, name: str) -> str | None:
        """The id that `name` (an id, or an unambiguous segment) stands for, None if there is none."""
        if name in self._children and name:
            return name
        found = self._by_segment.get(name, ())
        return found[0] if len(found) == 1 else None

    def get_node(self, name: str) -> str:
        """Like resolve; raises KeyError naming the nearest."""
        return self._require(name)

    def get_ancestors(self, name: str) -> list[str]:
        """From the parent up to the category."""
        parts = self._require(name).split(".")
        return [".".join(parts[:end]) for end in range(len(parts) - 1, 0, -1)]

    def get_descendants(self, name: str) -> list[str]:
        """All nodes below, parents before children."""
        found: list[str] = []
        for child in self._children[self._require(name)]:
            found.append(child)
            found.extend(self.get_descendants(child))
        return found

    def get_leaves(self, name: str = "") -> list[str]:
        """The leaves at or below `name`, of the whole tree when it is empty."""
        below = self.get_descendants(name) if name else self.list_all()
        leaves = [node for node in below if not self._children[node]]
        if name and not below:
            return [self._require(name)]
        return leaves

    def is_leaf(self, name: str) -> bool:
        return not self._children[self._require(name)]

    def covers(self, target: str, node: str) -> bool:
        """`node` is `target` or below it. Both are ids."""
        return node == target or node.startswith(target + ".")

    def list_all(self) -> list[str]:
        found: list[str] = []
        for category in self._children[""]:
            found.append(category)
            found.extend(self.get_descendants(category))
        return found

    def alias(self, node: str) -> str:
        """The shortest name that stands for `node`."""
        segment = node.rpartition(".")[2]
        return segment if self.resolve(segment) == node else node

    def nearest(self, name: str, count: int = 3) -> list[str]:
        """The aliases and ids most like `name`."""
        known = [self.alias(node) for node in self.list_all()]
        return nearest(name, known, count, cutoff=0.5)

    def _require(self, name: str) -> str:
        node = self.resolve(name)
        if node is None:
            near = self.nearest(name)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            raise KeyError(f"unknown capability {name!r}{hint}")
        return node
