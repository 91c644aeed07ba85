"""Counts tokens. Vocabularies are loaded when a model first needs one, and counting does not delay other requests.

Owns: the tokenizer library, and where counting happens: short prompts on the loop, long ones in a thread.
Must never: block the loop for longer than a short prompt takes, or fail a request because it cannot be counted.

The library (splintr) carries its vocabularies. Measured on the machine of the benchmarks: the first use of one takes
0.13 s, of which 37 ms hold the interpreter, and 44 MB (o200k_base; a second one 20 MB); counting takes 7 µs for a
kilobyte of English, 70 µs at worst. Its batch call releases the interpreter lock, its single call does not.
"""

from __future__ import annotations

import asyncio
import logging
import re
import threading
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import Executor
from typing import Any, NamedTuple

import msgspec

from meshd.core.needs import RequestNeeds
from meshd.formats.protocol import AppSide, Count
from meshd.sdk.reading.lenient import UNREADABLE, well_formed

logger = logging.getLogger("meshd.router")

SHORT = 16 * 1024
"""Bytes: the longest body counted on the loop: about 120 µs for English, including reading the JSON."""

LONGEST_ANSWER = 64 * 1024
"""Characters: the longest answer counted if its provider did not: about a millisecond."""

_INSIDE_A_MARK = re.compile(r"(?<=<)(?=\|)")
_ID = 4  # bytes of a token's number


PIECE = 65536  # characters of a long text counted at once
PER_CUT = 8
"""Tokens that cutting a text in two may hide: around the cut, words merge differently, which changes the count by one
or two."""


class Body(NamedTuple):
    """fields: the top level, each value still raw JSON."""

    format: AppSide
    fields: Mapping[str, msgspec.Raw]

    @property
    def size(self) -> int:
        return sum(map(len, self.fields.values()))


loaded: dict[str, Any | None] = {}
_loading = threading.Lock()


def load(vocabulary: str) -> Any | None:
    """The library's tokenizer, cached. None if the library has none of that name or is not installed; then the bound in
    bytes is used. The first call is slow."""
    with _loading:
        if vocabulary not in loaded:
            loaded[vocabulary] = _load(vocabulary)
    return loaded[vocabulary]


def _load(vocabulary: str) -> Any | None:
    try:
        import splintr
    except ImportError as error:
        logger.warning("tokens are not counted but estimated from bytes: %s", error)
        return None
    try:
        tokenizer = splintr.Tokenizer.from_pretrained(vocabulary)
    except ValueError as error:
        logger.warning("tokens of models with the vocabulary %s are estimated from bytes: %s", vocabulary, error)
        return None
    # Its tables for words of several tokens are built here, while it releases the interpreter lock.
    tokenizer.encode_batch_flat(["ab" * 500])
    return tokenizer


def counter(tokenizer: Any) -> Count:
    def tokens(text: str) -> int:
        return len(tokenizer.encode_ordinary(text))

    return tokens


def released_counter(tokenizer: Any) -> Count:
    """A function that counts without the interpreter lock. It would count `<|endoftext|>` as one special token,
    although as text it is several, so such marks are split first."""

    def tokens(text: str) -> int:
        texts = _INSIDE_A_MARK.split(text) if "<|" in text else [text]
        return len(tokenizer.encode_batch_flat(texts)[0]) // _ID + len(texts) - 1

    return in_pieces(tokens)


def count_short(needs: RequestNeeds, body: Body, vocabularies: Collection[str]) -> RequestNeeds | None:
    """`needs` with its counts, at once; None if the body is long or a vocabulary is not loaded yet: then await
    `count_long`."""
    if body.size > SHORT or not all(vocabulary in loaded for vocabulary in vocabularies):
        return None
    return _counted(needs, body, vocabularies, counter)


async def count_long(
    needs: RequestNeeds, body: Body, vocabularies: Collection[str], executor: Executor | None
) -> RequestNeeds:
    """The same in a thread of `executor`, None: the loop's own."""
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(executor, _counted, needs, body, vocabularies, released_counter)


async def count_all(
    needs: RequestNeeds, body: Body, vocabularies: Collection[str], executor: Executor | None = None
) -> RequestNeeds:
    """`needs` with the counts of its text in each available vocabulary."""
    if not vocabularies:
        return needs
    return count_short(needs, body, vocabularies) or await count_long(needs, body, vocabularies, executor)


def count_text(vocabulary: str, text: str) -> int | None:
    """The tokens of an answer's text; None if the vocabulary is not loaded, because no request was counted with it, or
    if counting would take too long on the loop."""
    tokenizer = loaded.get(vocabulary)
    return None if tokenizer is None or len(text) > LONGEST_ANSWER else in_pieces(counter(tokenizer))(well_formed(text))


def _counted(needs: RequestNeeds, body: Body, vocabularies: Collection[str], counter: Any) -> RequestNeeds:
    counts = {}
    for vocabulary in vocabularies:
        tokenizer = load(vocabulary)
        if tokenizer is None:
            continue
        try:
            counts[vocabulary] = body.format.count(needs.operation, body.fields, counter(tokenizer))
        except UNREADABLE as error:
            logger.debug("a body could not be counted: %s", error)
    return needs.counted(counts)


def pieces(text: str, size: int = PIECE) -> Iterator[str]:
    """The text in pieces of up to `size` characters, cut before a nearby space if there is one, as tokenizers cut
    words."""
    begin, length = 0, len(text)
    while length - begin > size:
        end = begin + size
        space = text.rfind(" ", end - size // 8, end)
        if space > begin:
            end = space
        yield text[begin:end]
        begin = end
    yield text[begin:]


def in_pieces(tokens: Count, size: int = PIECE) -> Count:
    """Counts text of any length in pieces; the result is at least that for the whole text."""

    def total(text: str) -> int:
        if len(text) <= size:
            return tokens(text)
        return sum(tokens(piece) + PER_CUT for piece in pieces(text, size))

    return total
