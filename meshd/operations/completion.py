"""Completions: the text that follows a prompt."""

from meshd.sdk.calls.operation import OperationSpec

COMPLETION = OperationSpec(
    name="completions",
    word="completion",
    paths={"openai": "/v1/completions"},
    capabilities=("generation.text-generation.text-completion",),
    text=("prompt", "suffix"),
    each=True,
    example=lambda text: {"prompt": text},
    rows=("choices", "text"),
)
