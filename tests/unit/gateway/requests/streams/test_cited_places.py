"""What the attempts of one stream cite: the places count from the beginning of the text that the app gets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from meshd.core.needs import RequestNeeds
from meshd.formats.bridge import Bridge
from meshd.formats.conversation.events import Cited, TextDelta
from meshd.formats.gemini.format import GEMINI
from meshd.formats.openai.format import OPENAI
from meshd.formats.openai.wire import read_event
from meshd.formats.protocol import Format
from meshd.formats.responses.format import RESPONSES
from meshd.gateway.requests.streams.delivery import Delivery
from meshd.operations.chat import CHAT
from meshd.sdk.provider import FailureKind, Provider, ProviderCall, ProviderFailure, StreamEvent
from tests.support.gateway.kept_chunks import KeptChunks

TEXT = "Der Wärter zündet das Licht an — jeden Abend, bei Regen und bei Schnee, seit er hier wohnt. Ende."
ASKED = {
    "openai": b'{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}',
    "responses": b'{"model":"m","stream":true,"input":"hi"}',
    "gemini": b'{"model":"m","contents":[{"parts":[{"text":"hi"}]}]}',
}
FORMATS = pytest.mark.parametrize("app", [OPENAI, RESPONSES, GEMINI], ids=lambda app: app.name)


def page(url: str, text: str, words: str) -> dict[str, Any]:
    """An annotation of these words of an attempt's text."""
    start = text.index(words)
    cited = {"url": f"https://{url}.example", "title": url, "start_index": start, "end_index": start + len(words)}
    return {"type": "url_citation", "url_citation": cited}


def chunk(finish: str | None = None, **delta: Any) -> dict[str, Any]:
    return {"id": "c", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


class Saying:
    """A provider of chunks. broken: they end in a failure."""

    name = "saying"
    speaks = "openai"
    late_instructions = custom_tools = True

    def __init__(self, chunks: Iterable[dict[str, Any]], broken: bool) -> None:
        self.broken = broken
        self.events = [read_event(msgspec.json.encode(each), hide_usage=False)[0] for each in chunks]

    async def stream(self, call: ProviderCall) -> AsyncIterator[StreamEvent]:
        for event in self.events:
            yield event
        if self.broken:
            raise ProviderFailure(FailureKind.STREAM_CUT, "cut")


class App:
    """What an app of this format gets of one stream."""

    def __init__(self, app: Format) -> None:
        self._app = app
        self._reply = KeptChunks()
        self.delivery = Delivery(self._reply, CHAT, RequestNeeds(CHAT, stream=True), app.app)

    async def attempt(self, *chunks: dict[str, Any], broken: bool = False) -> None:
        provider = cast(Provider, Saying(chunks, broken))
        fields = msgspec.json.decode(ASKED[self._app.name], type=dict[str, msgspec.Raw])
        call = ProviderCall(CHAT, "m", fields, True)
        asked = provider if self._app is OPENAI else Bridge(provider, self._app, OPENAI, 5)
        try:
            async for event in asked.stream(call):
                if not event.hidden:
                    await self.delivery.send(event)
            await self.delivery.finish()
        except ProviderFailure:
            self.delivery.go_on()

    def cited(self) -> dict[str, str]:
        """The words that each page is cited for."""
        reader = self._app.translator().event_reader()
        events = [event for data in self._reply.chunks for event in reader.read(data)]
        text = "".join(event.text for event in events if isinstance(event, TextDelta))
        assert text == TEXT
        found = [event.citation for event in events if isinstance(event, Cited)]
        return {each.title: text[each.start : each.end] for each in found}


@FORMATS
@pytest.mark.parametrize("repeated", [0, 12, 40], ids=["new", "its end again", "all of it again"])
async def test_a_stream_that_goes_on_elsewhere(app: Format, repeated: int) -> None:
    got = App(app)
    await got.attempt(chunk(content=TEXT[:12]), chunk(content=TEXT[12:40]), broken=True)
    rest = TEXT[40 - repeated :]
    rain, snow = page("rain", rest, "bei Regen"), page("snow", rest, "bei Schnee")
    cut = rain["url_citation"]["end_index"]
    await got.attempt(
        chunk(content=rest[:10]),
        chunk(content=rest[10:cut], annotations=[rain]),
        chunk(content=rest[cut:]),
        chunk(annotations=[snow]),
        chunk("stop"),
    )
    assert got.cited() == {"rain": "bei Regen", "snow": "bei Schnee"}


@FORMATS
@pytest.mark.parametrize("apart", [True, False], ids=["in a chunk of its own", "with the text"])
async def test_what_repeated_text_cites_is_told_later(app: Format, apart: bool) -> None:
    got = App(app)
    await got.attempt(chunk(content=TEXT[:40]), broken=True)
    light = [page("light", TEXT, "das Licht")]
    parts = [chunk(content=TEXT[:30]), chunk(annotations=light)]
    await got.attempt(
        *(parts if apart else [chunk(content=TEXT[:30], annotations=light)]),
        chunk(content=TEXT[30:50]),
        chunk(content=TEXT[50:]),
        chunk("stop"),
    )
    assert got.cited() == {"light": "das Licht"}


@FORMATS
async def test_twice_broken(app: Format) -> None:
    got = App(app)
    await got.attempt(chunk(content=TEXT[:20]), broken=True)
    await got.attempt(chunk(content=TEXT[10:30]), chunk(content=TEXT[30:50]), broken=True)
    await got.attempt(chunk(content=TEXT[50:]), chunk(annotations=[page("end", TEXT[50:], "Ende.")]), chunk("stop"))
    assert got.cited() == {"end": "Ende."}


@FORMATS
async def test_what_is_cited_for_no_certain_part_stays_so(app: Format) -> None:
    got = App(app)
    await got.attempt(chunk(content=TEXT[:20]), broken=True)
    nowhere = {"type": "url_citation", "url_citation": {"url": "https://all.example", "title": "all"}}
    await got.attempt(chunk(content=TEXT[20:]), chunk(annotations=[nowhere]), chunk("stop"))
    assert got.cited() == {"all": ""}


@FORMATS
async def test_what_is_held_until_the_end_is_sent_before_it(app: Format) -> None:
    got = App(app)
    await got.attempt(chunk(content=TEXT[:-1]), broken=True)
    annotation = {"url": "https://a.example", "title": "a", "start_index": 0, "end_index": 1}
    annotations = chunk(annotations=[{"type": "url_citation", "url_citation": annotation}])
    await got.attempt(chunk(content=TEXT[-1:]), annotations, chunk("stop"))
    assert got.cited() == {"a": "."}


@FORMATS
@given(some.data())
async def test_any_seam(app: Format, data: Any) -> None:
    """Wherever it broke, however much is repeated, and in whatever pieces it comes."""
    broke = data.draw(some.integers(1, len(TEXT) - 1))
    whole = data.draw(some.booleans())
    begins = 0 if whole else max(broke - data.draw(some.one_of(some.just(0), some.integers(8, 60))), 0)
    rest = TEXT[begins:]
    start = data.draw(some.integers(max(broke, begins) - begins, len(rest) - 1))
    end = data.draw(some.integers(start + 1, len(rest)))
    annotation = {"url": "https://a.example", "title": "a", "start_index": start, "end_index": end}
    cuts = sorted(data.draw(some.sets(some.integers(1, len(rest)), max_size=4)))
    pieces = [rest[a:b] for a, b in zip([0, *cuts], [*cuts, len(rest)], strict=True)]
    got = App(app)
    await got.attempt(chunk(content=TEXT[:broke]), broken=True)
    annotations = chunk(annotations=[{"type": "url_citation", "url_citation": annotation}])
    await got.attempt(*(chunk(content=piece) for piece in pieces if piece), annotations, chunk("stop"))
    if begins == broke and "".join(pieces).startswith(TEXT[:broke]):
        return  # by chance like the beginning
    assert got.cited() == {"a": rest[start:end]}
