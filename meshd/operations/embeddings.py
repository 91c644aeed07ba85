"""Embeddings: a vector for each text."""

from meshd.sdk.calls.operation import OperationSpec

EMBEDDINGS = OperationSpec(
    name="embeddings",
    word="embeddings",
    paths={
        "openai": "/v1/embeddings",
        "cohere": "/v2/embed",
        "bedrock": "invoke",
        "gemini": "batchEmbedContents",
    },
    capabilities=("representation.embeddings",),
    text=("input",),
    apart="input",
    example=lambda text: {"input": text},
    rows=("data", "embedding"),
    output=False,
    repeats=True,
    streamed=False,
    continued=False,
)
