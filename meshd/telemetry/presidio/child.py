"""The process of Presidio: masks what it finds in texts.

Must never: download a model, or look anything up in the network.
"""

from __future__ import annotations

import importlib.util
import sys
from functools import partial
from pathlib import Path
from typing import Any

from meshd.connectors.observability.process.serving import Answer, serve

_LEFT_OUT = frozenset({"DATE_TIME", "URL", "EMAIL_ADDRESS", "IP_ADDRESS"})
"""Not personal, or masked by the built-in rules already; Presidio would load a list from the network for e-mail."""
_SCORE = 0.4


def fault(model: str) -> str:
    """Why it cannot be loaded; "": nothing is known."""
    package = model.partition(".")[0]
    found = Path(model).is_dir() or (package.isidentifier() and importlib.util.find_spec(package) is not None)
    return "" if found else f"the spaCy model {model} is not installed"


def load(model: str) -> Answer:
    """model: the name of an installed spaCy model, or the path of one."""
    if why := fault(model):
        raise LookupError(why)
    from presidio_analyzer import AnalyzerEngine
    from presidio_analyzer.nlp_engine import NlpEngineProvider

    name = Path(model).name
    language = name[:2] if name[2:3] == "_" else "en"
    models = [{"lang_code": language, "model_name": model}]
    engine = NlpEngineProvider(nlp_configuration={"nlp_engine_name": "spacy", "models": models}).create_engine()
    analyzer = AnalyzerEngine(nlp_engine=engine, supported_languages=[language])
    entities = sorted(set(analyzer.get_supported_entities(language)) - _LEFT_OUT)

    def masked(texts: list[str]) -> list[str]:
        return [_masked(text, analyzer.analyze(text, language, entities, score_threshold=_SCORE)) for text in texts]

    return masked


def _masked(text: str, found: list[Any]) -> str:
    parts: list[str] = []
    done = 0
    for each in sorted(found, key=lambda each: (each.start, -each.end)):
        if each.start >= done:
            parts += [text[done : each.start], f"[{each.entity_type.lower()}]"]
        done = max(done, each.end)
    return "".join([*parts, text[done:]])


if __name__ == "__main__":
    serve(partial(load, sys.argv[1]))
