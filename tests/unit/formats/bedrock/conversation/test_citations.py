"""Pages that an answer cites, for a chat app; a stream says the same as a unary answer.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_CitationsContentBlock.html, …_CitationsDelta.html,
read on 28 November 2026.
"""

from __future__ import annotations

import json
from typing import Any

from meshd.formats.bedrock.conversation.translator import BedrockTranslator
from meshd.formats.conversation.citations import Citation
from meshd.formats.conversation.events import Cited
from meshd.formats.lookup import app_format

BEFORE, TEXT = "As they say: ", "Rain is likely."
PAGE = {"title": "Weather", "location": {"web": {"url": "https://weather.example/", "domain": "weather.example"}}}
PLACE = {
    "title": "a.pdf",
    "location": {"documentPage": {"documentIndex": 0, "start": 1, "end": 2}},
    "sourceContent": [{"text": "Rain, perhaps."}],
}
ODD: list[Any] = [PLACE, {"location": {"web": {"url": 1}}}, {"location": "odd"}, "odd"]
CITED = Citation("https://weather.example/", "Weather", len(BEFORE), len(BEFORE + TEXT))
PLACED = Citation("", "a.pdf", CITED.start, CITED.end, "Rain, perhaps.", document=0)


def test_an_answer_cites_its_pages() -> None:
    cited = {"citationsContent": {"content": [{"text": TEXT}], "citations": [PAGE, *ODD]}}
    message = {
        "role": "assistant",
        "content": [{"text": BEFORE}, cited, {"text": " Bye."}, {"citationsContent": "odd"}],
    }
    body = json.dumps({"output": {"message": message}, "stopReason": "end_turn"}).encode()
    answer = BedrockTranslator().read_answer(body)
    assert answer.choices[0].citations == (CITED, PLACED)
    told = json.loads(app_format("openai").translator().write_answer(answer, None))["choices"][0]["message"]
    assert told["content"] == f"{BEFORE}{TEXT} Bye."
    [annotation] = told["annotations"]
    said = annotation["url_citation"]
    assert told["content"][said["start_index"] : said["end_index"]] == TEXT


def test_a_stream_cites_them_as_they_come() -> None:
    deltas: list[tuple[int, Any]] = [(0, {"text": BEFORE}), (1, {"text": TEXT[:4]}), (1, {"text": TEXT[4:]})]
    deltas += [(1, {"citation": each}) for each in (PAGE, *ODD)]
    events = [{"contentBlockDelta": {"contentBlockIndex": index, "delta": delta}} for index, delta in deltas]
    events.append({"contentBlockStop": {"contentBlockIndex": 1}})
    reader = BedrockTranslator.event_reader()
    read = [each for event in events for each in reader.read(json.dumps(event).encode())]
    assert [each.citation for each in read if isinstance(each, Cited)] == [CITED, PLACED]
