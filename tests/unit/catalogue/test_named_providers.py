"""Every provider that the specification names: its ids, the variables with its key, and what it can be asked for."""

from __future__ import annotations

import pytest

from meshd.catalogue.known import load_provider_rows, provider_row
from meshd.formats.known import FORMATS
from meshd.services.known import SERVICES

NAMED = """
openai.llm.v1 | OPENAI_API_KEY | chat-completion code-generation text-embeddings text-to-speech speech-to-text text-to-image content-moderation
anthropic.claude.v1 anthropic.llm.v1 | ANTHROPIC_API_KEY | chat-completion
google.gemini.v1 | GEMINI_API_KEY GOOGLE_API_KEY | chat-completion text-embeddings
xai.grok.v1 xai.api.v1 | XAI_API_KEY | chat-completion
deepseek.api.v1 | DEEPSEEK_API_KEY | chat-completion
mistral.api.v1 | MISTRAL_API_KEY | chat-completion text-embeddings
groq.api.v1 groq.inference.v1 | GROQ_API_KEY | chat-completion speech-to-text
together.api.v1 | TOGETHER_API_KEY | chat-completion text-embeddings text-to-image
fireworks.api.v1 | FIREWORKS_API_KEY | chat-completion text-embeddings
openrouter.gateway.v1 openrouter.api.v1 | OPENROUTER_API_KEY | chat-completion
perplexity.search.v1 | PERPLEXITY_API_KEY | chat-completion grounded-generation
cohere.nlp.v1 cohere.api.v1 | COHERE_API_KEY | chat-completion text-embeddings reranking
huggingface.inference.v1 | HF_TOKEN | chat-completion text-embeddings
cloudflare.workers-ai.v1 | CLOUDFLARE_API_TOKEN +CLOUDFLARE_ACCOUNT_ID | chat-completion text-embeddings
aws.bedrock.v1 | | chat-completion text-embeddings
microsoft.azure-openai.v1 | AZURE_OPENAI_API_KEY | chat-completion text-embeddings text-to-speech speech-to-text text-to-image
google.vertex.v1 | | chat-completion
elevenlabs.tts.v1 | ELEVENLABS_API_KEY | text-to-speech voice-cloning
azure.tts.v1 | AZURE_SPEECH_KEY +AZURE_SPEECH_REGION | text-to-speech
assemblyai.stt.v1 | ASSEMBLYAI_API_KEY | speech-to-text
google.cloud-ai.v1 | | speech-to-text text-to-speech ocr translation
stability.image-gen.v1 | STABILITY_API_KEY | text-to-image
fal.media-gen.v1 | FAL_KEY | text-to-image
replicate.inference.v1 | REPLICATE_API_TOKEN | text-to-image
tavily.search.v1 | TAVILY_API_KEY | web-search
serper.search.v1 | SERPER_API_KEY | web-search
google.search.v1 | GOOGLE_SEARCH_API_KEY +GOOGLE_CSE_ID | web-search
microsoft.bing-search.v1 | BING_SEARCH_API_KEY | web-search
brave.search.v1 | BRAVE_API_KEY | web-search
jina.search.v1 jina.ai.v1 | JINA_API_KEY | web-search reranking text-embeddings
firecrawl.search.v1 | FIRECRAWL_API_KEY | web-search
searxng.search.v1 | | web-search
unstructured.doc-parse.v1 | UNSTRUCTURED_API_KEY | document-parsing
llamaindex.doc-parse.v1 | LLAMA_CLOUD_API_KEY | document-parsing
deepl.translation.v1 | DEEPL_API_KEY | translation
google.moderation.v1 | PERSPECTIVE_API_KEY | toxicity-detection
voyage.api.v1 | VOYAGE_API_KEY | reranking text-embeddings
deepgram.speech.v1 | DEEPGRAM_API_KEY | speech-to-text
cerebras.inference.v1 | CEREBRAS_API_KEY | chat-completion
sambanova.cloud.v1 | SAMBANOVA_API_KEY | chat-completion
nvidia.nim.v1 | NVIDIA_API_KEY | chat-completion
moonshot.kimi.v1 | MOONSHOT_API_KEY | chat-completion
zai.glm.v1 | ZAI_API_KEY | chat-completion
minimax.api.v1 | MINIMAX_API_KEY | chat-completion
alibaba.dashscope.v1 | DASHSCOPE_API_KEY | chat-completion
siliconflow.api.v1 | SILICONFLOW_API_KEY | chat-completion
ollama.local.v1 | OLLAMA_HOST 11434 |
lmstudio.local.v1 | LMSTUDIO_HOST 1234 |
vllm.local.v1 | VLLM_HOST 8000 |
localai.local.v1 | LOCALAI_HOST 8080 |
llama-server.local.v1 | 8080 |
sglang.local.v1 | |
lemonade.local.v1 | |
openai-compatible.v1 | |
"""  # noqa: E501
ROWS = [tuple(part.split() for part in line.split("|")) for line in NAMED.strip().splitlines()]


@pytest.mark.parametrize(("ids", "variables", "capabilities"), ROWS, ids=lambda part: part[0] if part else "")
def test_it_is_there(ids: list[str], variables: list[str], capabilities: list[str]) -> None:
    row = provider_row(ids[0])
    assert row is not None
    assert row.id == ids[0]
    assert {*ids[1:]} <= {*row.aliases}
    known = {*row.key_env, row.host_env, str(row.port), *(f"+{name}" for name in row.needs_env)}
    assert {*variables} <= known
    assert {*capabilities} <= {*row.capabilities}


def test_what_a_row_speaks_is_built() -> None:
    for row in load_provider_rows():
        assert {*row.quirks.get("speaks", ())} <= {*FORMATS}
        assert row.quirks.get("service", next(iter(SERVICES))) in SERVICES
