"""Any stream of odd but readable chunks is its text, exactly; any that is cut or broken is never told as whole."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from meshd.formats.errors.transport_failures import failure_from_exception
from meshd.formats.openai.stream.event_stream import EventReader
from meshd.host import clock
from meshd.operations.chat import CHAT
from meshd.sdk.provider import ProviderFailure
from tests.support.formats.pieces import Body

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inside: st.lists(inside, max_size=2) | st.dictionaries(st.sampled_from(["a", "id"]), inside, max_size=2),
    max_leaves=4,
)
BEATS = st.sampled_from(
    [b"", b":\n\n", b": hi\n\n", b"data:\n\n", b"data: null\n\n", b"data: ping\n\n", b"event: ping\ndata: {}\n\n",
     b"data: heartbeat\n\n", b"data: {}\n\n", b"retry: 3000\n\n", b'data: {"type":"ping"}\n\n']
)  # fmt: skip
EARLY = [b'data: {"choices":[{"index":0,"delta":{"content":""},"finish_reason":"stop"}]}\n\n', b""]
# Of these, words in the wrong type are a part of the answer or an error; they have tests of their own.
OF_CHOICE = st.dictionaries(st.sampled_from(["index", "logprobs", "stop_reason", "matched_stop"]), ANYTHING, max_size=2)
OF_DELTA = st.dictionaries(
    st.sampled_from(["role", "annotations", "name", "token_ids", "weight"]), ANYTHING, max_size=2
)
OF_CHUNK = st.dictionaries(
    st.sampled_from(["id", "created", "model", "provider", "usage", "service_tier", "nonce"]), ANYTHING, max_size=2
)
TEXTS = st.lists(st.text(max_size=6).filter(bool), min_size=1, max_size=6)  # half surrogate pairs too
ENDS = st.sampled_from(["[DONE]", "[DONE] ", " [DONE]", "[done]"])


def read(stream: bytes, cuts: list[int], breaks: bool = False) -> tuple[str, bool]:
    """The text, and whether it was told as whole."""

    async def collect() -> tuple[str, bool]:
        body: Any = Body(stream, cuts, breaks=breaks)
        reader = EventReader(
            body,
            started=clock.now(),
            first_token=9.0,
            idle=9.0,
            total=9.0,
            where="here",
            event_stream=True,
            hide_usage=True,
            choices=1,
            operation=CHAT,
            limits=None,
            failed=lambda exc: failure_from_exception(exc, "here", 9.0),
        )
        text = ""
        try:
            while not reader.done:
                for event in await reader.more():
                    text += event.text
        except ProviderFailure:
            return text, False
        finally:
            reader.close()
        return text, True

    return asyncio.run(collect())


@st.composite
def chunks(draw: st.DrawFn) -> tuple[list[bytes], str]:
    """Events with odd fields around texts, and the text."""
    texts = draw(TEXTS)
    stamped = draw(st.booleans())
    events = []
    for text in texts:
        part = {"type": "text", "text": text}
        content = draw(st.sampled_from([text, [part], part, [text]]))
        finish = "stop" if stamped else draw(st.sampled_from([None, {}, "", False, 0, []]))
        choice = draw(OF_CHOICE) | {"delta": draw(OF_DELTA) | {"content": content}, "finish_reason": finish}
        # One choice is one choice, however its index is written.
        choice["index"] = draw(st.sampled_from([0, 0.0, "0", None, False]))
        document = draw(OF_CHUNK) | {"choices": draw(st.sampled_from([[choice], choice, [choice, None]]))}
        events.append(draw(BEATS) + b"data: " + json.dumps(document).encode() + b"\n\n")
    return events, "".join(texts)


@given(chunks(), st.sampled_from(EARLY), ENDS, st.lists(st.integers(0), max_size=5), BEATS)
@settings(deadline=None)
def test_odd_chunks_are_exactly_their_text(made, early, done, cuts, beat):
    events, text = made
    stream = early + b"".join(events) + beat + f"data: {done}\n\n".encode()
    assert read(stream, cuts) == (text, True)


@given(chunks(), st.data())
@settings(deadline=None)
def test_a_cut_is_never_told_as_whole(made, data):
    """At any byte before the end of the last text: cut by a broken connection."""
    events, text = made
    stream = b"".join(events)
    at = data.draw(st.integers(0, len(stream) - 3))
    got, whole = read(stream[:at], [], breaks=True)
    assert not whole
    assert text.startswith(got)


MARKS = ["error", "error_code", "err", "detail", "base_resp", "object", "errmsg"]
TOLD = st.sampled_from(MARKS).flatmap(
    lambda name: st.just(
        {name: {"base_resp": {"status_code": 1002}, "object": "error", "error_code": 50001}.get(name, "it broke")}
    )
)


@given(chunks(), TOLD, st.dictionaries(st.sampled_from(["id", "created", "model"]), ANYTHING), st.data())
@settings(deadline=None)
def test_an_error_is_never_told_as_the_end(made, error, beside, data):
    events, text = made
    after = data.draw(st.integers(0, len(events)))
    framing = data.draw(
        st.sampled_from([b"data: %s\n\n", b"%s\n\n", b"event: error\ndata: %s\n\n", b"data:%s\r\n\r\n"])
    )
    told = framing % json.dumps(beside | error).encode()
    got, whole = read(
        b"".join(events[:after]) + told + b"data: [DONE]\n\n", data.draw(st.lists(st.integers(0), max_size=3))
    )
    assert not whole
    assert text.startswith(got)


@given(chunks(), st.data())
@settings(deadline=None)
def test_a_chunk_that_cannot_be_read_is_never_told_as_whole(made, data):
    """Cut off, or with a byte that is missing, between chunks that are good."""
    events, text = made
    at = data.draw(st.integers(0, len(events) - 1))
    torn = events[at].strip().rpartition(b"data: ")[2]
    kept = torn[: data.draw(st.integers(1, len(torn) - 1))]
    garbled = [kept, b"[" + kept, b"{" + torn, torn[:-1] + b"]", torn.replace(b":", b"=", 1)]
    broken = data.draw(st.sampled_from(garbled))
    parts = [*events[:at], b"data: " + broken + b"\n\n", *events[at + data.draw(st.integers(0, 1)) :]]
    got, whole = read(b"".join(parts) + b"data: [DONE]\n\n", data.draw(st.lists(st.integers(0), max_size=3)))
    assert not whole
    assert text.startswith(got)
