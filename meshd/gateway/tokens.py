"""Vocabularies: loaded when a model first needs one, and counted with where no request waits for it.

Owns: the tokenizer library, and where counting happens: short prompts on the loop, long ones in a thread.
Must never: block the loop for longer than a short prompt takes, or fail a request because it cannot be counted.

The library (splintr) carries its vocabularies. Measured on the machine of the benchmarks: the first use of one takes
0.13 s, of which 37 ms hold the interpreter, and 44 MB (o200k_base; a second one 20 MB); counting takes 7 µs for a
kilobyte of English, 70 µs at worst. Its batch call lets go of the interpreter, its single call does not.
"""

from __future__ import annotations

import asyncio
import logging
import re
import threading
from collections.abc import Collection
from concurrent.futures import Executor
from typing import Any

from meshd.cdk.lenient import well_formed
from meshd.routing.needs import MalformedBody, Needs
from meshd.routing.tokens import Count, count, in_pieces

logger = logging.getLogger("meshd.router")

SHORT = 16 * 1024
"""Bytes of a body that is counted on the loop: about 120 µs of English, JSON's reading included."""

LONGEST_ANSWER = 64 * 1024
"""Characters of an answer that is counted, where its provider did not: about a millisecond."""

_INSIDE_A_MARK = re.compile(r"(?<=<)(?=\|)")
_ID = 4  # bytes of a token's number


_tokenizers: dict[str, Any | None] = {}
_loading = threading.Lock()


def load(vocabulary: str) -> Any | None:
    """The library's tokenizer, from its first use on; None where it has none of that name, or is not installed: the
    bound in bytes is counted with then. Takes a while the first time."""
    with _loading:
        if vocabulary not in _tokenizers:
            _tokenizers[vocabulary] = _load(vocabulary)
    return _tokenizers[vocabulary]


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
    # What it builds at the first word that is not one token is built here, where it lets go of the interpreter.
    tokenizer.encode_batch_flat(["ab" * 500])
    return tokenizer


def _counter(tokenizer: Any) -> Count:
    def tokens(text: str) -> int:
        return len(tokenizer.encode_ordinary(text))

    return tokens


def _released_counter(tokenizer: Any) -> Count:
    """Counts without the interpreter's lock. The call would take `<|endoftext|>` for one special token, which as
    text is several: it never sees such a mark whole."""

    def tokens(text: str) -> int:
        texts = _INSIDE_A_MARK.split(text) if "<|" in text else [text]
        return len(tokenizer.encode_batch_flat(texts)[0]) // _ID + len(texts) - 1

    return in_pieces(tokens)


def count_short(needs: Needs, body: bytes, vocabularies: Collection[str]) -> Needs | None:
    """`needs` with its counts, at once; None where the body is long, or a vocabulary is not there yet, and
    `count_long` is to be awaited."""
    if len(body) > SHORT or not all(vocabulary in _tokenizers for vocabulary in vocabularies):
        return None
    return _counted(needs, body, vocabularies, _counter)


async def count_long(needs: Needs, body: bytes, vocabularies: Collection[str], executor: Executor | None) -> Needs:
    """The same in a thread of `executor`, None: the loop's own."""
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(executor, _counted, needs, body, vocabularies, _released_counter)


async def count_all(
    needs: Needs, body: bytes, vocabularies: Collection[str], executor: Executor | None = None
) -> Needs:
    """`needs` with the counts of its text in each vocabulary that can be had."""
    if not vocabularies:
        return needs
    return count_short(needs, body, vocabularies) or await count_long(needs, body, vocabularies, executor)


def count_text(vocabulary: str, text: str) -> int | None:
    """The tokens of an answer's text; None where the vocabulary is not there, as no request was counted with it, and of
    a text that takes too long on the loop."""
    tokenizer = _tokenizers.get(vocabulary)
    return (
        None if tokenizer is None or len(text) > LONGEST_ANSWER else in_pieces(_counter(tokenizer))(well_formed(text))
    )


def _counted(needs: Needs, body: bytes, vocabularies: Collection[str], counter: Any) -> Needs:
    counts = {}
    for vocabulary in vocabularies:
        tokenizer = load(vocabulary)
        if tokenizer is None:
            continue
        try:
            counts[vocabulary] = count(needs.operation, body, counter(tokenizer))
        except (MalformedBody, UnicodeError, RecursionError) as error:
            logger.debug("a body could not be counted: %s", error)
    return needs.counted(counts)
