"""Chat completions: an answer to a conversation."""

from meshd.sdk.calls.operation import OperationSpec

CHAT = OperationSpec(
    name="chat.completions",
    word="chat",
    paths={
        "openai": "/v1/chat/completions",
        "anthropic": "/v1/messages",
        "responses": "/v1/responses",
        "bedrock": "converse",
        "cohere": "/v2/chat",
        "gemini": "/v1beta/models/{model}:generateContent",
    },
    # All models answer it, except those with a capability that has, or will have, an operation of its own.
    other_than=(
        "generation.text-generation.text-completion",
        "generation.image-generation",
        "generation.audio-generation",
        "generation.video-generation",
        "understanding.audio-understanding",
        "understanding.document-understanding",
        "transformation.translation",
        "transformation.image-editing",
        "transformation.audio-processing",
        "representation",
        "retrieval.search",
        "retrieval.knowledge-graph",
        "retrieval.reranking",
        "evaluation",
    ),
    text=("messages",),
    conversation=True,
    example=lambda text: {"messages": [{"role": "user", "content": text}]},
    rows=("choices", "message"),
)
