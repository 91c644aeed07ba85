"""The real Presidio, with a small spaCy model: names are masked, or nothing is shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from meshd.sdk.observability import Entry
from meshd.telemetry.presidio.stage import PresidioStage
from tests.support.waiting import until


@pytest.fixture(scope="module")
def model(module_short: Path) -> str:
    """It knows two people and a town."""
    pytest.importorskip("presidio_analyzer", reason="needs the extra presidio")
    import spacy

    language: Any = spacy.blank("en")
    ruler = language.add_pipe("entity_ruler")
    ruler.add_patterns(
        [
            *({"label": "PERSON", "pattern": name} for name in ("Ada Lovelace", "Alan Turing")),
            {"label": "GPE", "pattern": "London"},
        ]
    )
    language.to_disk(module_short / "en_tiny")
    return str(module_short / "en_tiny")


def test_names_are_masked_and_the_structure_stays(model: str) -> None:
    passed: list[Entry] = []
    stage = PresidioStage(model, passed.append)
    prompt = {"model": "m", "messages": [{"content": "I am Ada Lovelace of London"}, {"n": 1, "none": None}]}
    stage.write(
        Entry("request", 0, "debug", "200", {"prompt": prompt, "answer": "Alan Turing?", "app": "Ada Lovelace"})
    )
    stage.close()
    (entry,) = passed
    assert entry.fields["prompt"]["messages"][0]["content"] == "I am [person] of [location]"
    assert entry.fields["prompt"]["messages"][1] == {"n": 1, "none": None}
    assert (entry.fields["answer"], entry.fields["app"]) == ("[person]?", "Ada Lovelace")
    assert stage.status() == {"error": ""}


def test_without_its_model_nothing_of_the_contents_is_passed_on() -> None:
    passed: list[Entry] = []
    stage = PresidioStage("no_such_model", passed.append)
    stage.write(Entry("request", 0, "debug", "200", {"prompt": {"a": "Ada"}, "answer": "b", "status": 200}))
    assert passed[0].fields == {"status": 200, "content": "left out: Presidio could not read it"}
    assert "no_such_model" in stage.status()["error"]
    stage.close()


def test_a_daemon_with_presidio(meshd: Any, short: Path, model: str) -> None:
    log = short / "requests.jsonl"
    logging = {"connector": "modelmesh.file.v1", "path": str(log), "level": "full", "presidio_model": model}
    daemon = meshd(
        {
            "providers": {"one": {"connector": "modelmesh.scripted.v1", "script": [{"reply": "Ask Alan Turing"}]}},
            "models": {"one.chat": {"provider": "one", "capabilities": ["chat-completion"]}},
            "observability": {"logging": logging},
        }
    )
    daemon.say("Who is Ada Lovelace (ada@example.org)?", "one.chat")
    text = until(lambda: next((line for line in log.read_text().splitlines() if '"stream":"request"' in line), ""))
    record = json.loads(text)
    assert record["prompt"]["messages"][0]["content"] == "Who is [person] ([email])?"
    assert record["answer"]["choices"][0]["message"]["content"] == "Ask [person]"
