"""Whatever a provider answers, a service gives its operation's answer, or says what is wrong."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from meshd.sdk.provider import ProviderFailure
from meshd.sdk.reading import lenient
from meshd.services.known import service
from meshd.services.seam import Ask, Asked, File, Malformed, Result, Steps, Told

MOST_STEPS = 40
NAMES = [
    "results",
    "organic",
    "items",
    "web",
    "data",
    "translations",
    "pages",
    "markdown",
    "text",
    "job",
    "status",
    "id",
    "title",
    "url",
    "link",
    "attributeScores",
    "summaryScore",
    "value",
    "metadata",
    "page_number",
    "success",
    "type",
    "_type",
    "webPages",
    "credits",
    "creditsUsed",
    "job_metadata",
    "TOXICITY",
    "detected_source_language",
    "pagemap",
    "metatags",
    "extra_snippets",
    "billed_characters",
    "translatedText",
    "error_message",
    "responses",
    "error",
    "fullTextAnnotation",
    "totalPages",
    "blocks",
    "paragraphs",
    "words",
    "symbols",
    "property",
    "detectedBreak",
    "alternatives",
    "transcript",
    "totalBilledTime",
]
WORDS = ("COMPLETED", "FAILED", "search", "SearchResponse", "x", "", "https://a.example")
ASKED = {
    "search": {"query": "x", "max_results": 12},
    "translate": {"text": ["one", "two"], "target": "de"},
    "documents.parse": {"elements": "true"},
    "audio.transcriptions": {"response_format": "verbose_json", "language": "en"},
    "moderations": {"input": ["one"]},
}
FILE = File("file", "a.pdf", "application/pdf", memoryview(b"%PDF"))
WAV = File("file", "a.wav", "audio/wav", memoryview(b"RIFF"))
OURS = ("tavily", "serper", "brave", "google-search", "bing", "jina", "firecrawl", "searxng", "deepl", "google-cloud",
        "unstructured", "llamaparse", "perspective", "elevenlabs", "deepgram", "assemblyai")  # fmt: skip

scalars = some.none() | some.booleans() | some.integers(-9, 9) | some.floats(allow_nan=False) | some.sampled_from(WORDS)
answers = some.recursive(
    scalars,
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.sampled_from(NAMES), inner, max_size=6),
    max_leaves=20,
)


@pytest.mark.parametrize("name", OURS)
@given(told=some.lists(answers, min_size=1, max_size=4))
def test_any_answer_is_read_or_refused(name: str, told: list[Any]) -> None:
    for operation, make in service(name).operations.items():
        if operation not in ASKED:
            continue
        files = {"documents.parse": (FILE,), "audio.transcriptions": (WAV,)}.get(operation, ())
        steps = make(Asked("agentic" if name == "llamaparse" else "m", ASKED[operation], files))
        result = _ended(steps, [lenient.plain(each) for each in told])
        if result is not None:
            written = msgspec.json.decode(lenient.plain(result.document))
            assert set(written) & {"results", "translations", "pages", "segments"}
            assert all(isinstance(count, int) and count >= 0 for count in result.units.values())


def _ended(steps: Steps, bodies: list[bytes]) -> Result | None:
    """The result of steps that get these answers in turn; None if they refuse them, or go on."""
    answer: Any = None
    try:
        for number in range(MOST_STEPS):
            step = steps.send(answer)
            answer = Told(200, {}, bodies[number % len(bodies)]) if isinstance(step, Ask) else answer
    except StopIteration as end:
        result: Result = end.value
        return result
    except (Malformed, ProviderFailure):
        pass
    finally:
        steps.close()
    return None
