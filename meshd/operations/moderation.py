"""Moderations: whether a text or image is harmful, and in which way."""

from meshd.sdk.calls.operation import OperationSpec

MODERATION = OperationSpec(
    name="moderations",
    word="moderation",
    paths={"openai": "/v1/moderations"},
    capabilities=("evaluation.content-moderation", "evaluation.toxicity-detection"),
    text=("input",),
    apart="input",
    default="content-moderation",
    example=lambda text: {"input": text},
    rows=("results", "flagged"),
    tokens=False,
    output=False,
    repeats=True,
    streamed=False,
    continued=False,
)
