"""Which feature a refusal names: by the provider's words, in any wording; and what only looks like one."""

from __future__ import annotations

import re
import time

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from meshd.catalogue.known import load_refused_features, load_refusing_words
from meshd.formats.errors.refusals import refusals
from meshd.formats.errors.response_failures import failure_from_error_object, failure_from_response
from meshd.routing.request.features import CALLED
from meshd.sdk import FailureKind
from meshd.sdk.provider import ProviderFailure

TOOLS, SCHEMA, JSON, IMAGES, LOGPROBS = CALLED


def refused(message: str, status: int = 400, **more: object) -> ProviderFailure:
    body = msgspec.json.encode({"error": {"message": message, **more}})
    return failure_from_response(status, body, [], "https://p/v1")


# (status, what it says, which features are named) as providers and servers word it.
SAID = [
    (400, "registry.ollama.ai/library/gemma3:4b does not support tools", TOOLS),
    (400, '"mistral-nemo:12b" does not support tools', TOOLS),
    (500, "tools param requires --jinja flag", TOOLS),
    (400, "Unsupported param: tools", TOOLS),
    (400, '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set', TOOLS),
    (404, "No endpoints found that support tool use. To learn more about provider routing, visit: https://x", TOOLS),
    (400, "This model doesn't support tool use.", TOOLS),
    (400, "This model doesn't support tool use in streaming mode.", TOOLS),
    (400, "Function call is not supported for this model.", TOOLS),
    (400, "Function calling is not enabled for models/gemma-3-27b-it", TOOLS),
    (400, "deepseek-reasoner does not support Function Calling", TOOLS),
    (400, "`tool calling` is not supported with this model", TOOLS),
    (400, "Unsupported parameter: 'tools' is not supported with this model.", TOOLS),
    (400, "tools is not supported in this model. For a list of supported models, refer to the docs.", TOOLS),
    (400, "Unrecognized request argument supplied: tools", TOOLS),
    (400, "Unrecognized request arguments supplied: functions, tool_choice", TOOLS),
    (422, "body.tools: Extra inputs are not permitted", TOOLS),
    (400, "litellm.UnsupportedParamsError: ollama does not support parameters: {'tools': []}, for model=m", TOOLS),
    (400, "该模型不支持工具调用", TOOLS),
    (400, "Function calling with this model is not supported", TOOLS),
    (400, "Tool support is disabled for this deployment", TOOLS),
    (400, "Tools are currently unavailable on the model vision-lite", TOOLS),
    (400, "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model.", SCHEMA),
    (400, "This response_format type is unavailable now", SCHEMA),
    (400, "Structured outputs are not available for this model", SCHEMA),
    (400, "JSON schema response format is not implemented", SCHEMA),
    (400, "JSON mode is not enabled for models/gemma-3-27b-it", SCHEMA),
    (400, "JSON mode is not enabled for models/gemma-3-27b-it", JSON),
    (400, "Json mode is not supported for this model.", JSON),
    (400, "'response_format.type' must be 'json_schema' or 'text'", JSON),
    (400, "Invalid parameter: 'response_format' of type 'json_object' is not supported with this model.", JSON),
    (400, "Unrecognized request argument supplied: response_format", JSON),
    (400, "this model does not support image input (ref: b8bd630e)", IMAGES),
    (400, "Invalid content type. image_url is only supported by certain models.", IMAGES),
    (404, "No endpoints found that support image input", IMAGES),
    (500, "image input is not supported - hint: if this is unexpected, you may need to provide the mmproj", IMAGES),
    (400, "The model is not a VLM (Vision Language Model). Please use text-only prompts.", IMAGES),
    (400, "DeepSeek-V4-Flash-0731 is not a multimodal model", IMAGES),
    (400, "At most 0 image(s) may be provided in one request.", IMAGES),
    (400, "Failed to deserialize the JSON body: messages[4]: unknown variant `image_url`, expected `text`", IMAGES),
    (400, "Image input modality is not enabled for models/gemma-2b", IMAGES),
    (400, "This model doesn't support the image content block that you provided.", IMAGES),
    (400, "The model does not have vision capabilities", IMAGES),
    (400, "Model text-large cannot process images", IMAGES),
    (400, "this model is missing data required for image input", IMAGES),
    (400, "Logprobs is not enabled for models/gemini-2.5-pro", LOGPROBS),
    (400, "`logprobs` is not supported with this model", LOGPROBS),
    (403, "You are not allowed to request logprobs from this model", LOGPROBS),
    (400, "Unsupported parameter: 'top_logprobs' is not supported with this model.", LOGPROBS),
    (400, "This model does not provide log probabilities", LOGPROBS),
]


@pytest.mark.parametrize(("status", "message", "feature"), SAID)
def test_the_feature_that_is_refused_is_named(status: int, message: str, feature: str) -> None:
    found = refused(message, status)
    assert found.kind is FailureKind.UNSUPPORTED
    assert feature in found.refused
    wanted = {SCHEMA, JSON} if feature in (SCHEMA, JSON) else {feature}
    assert set(found.refused) <= wanted, "and no other"


# What is the app's own mistake, of one request, of one parameter, or of something else.
NOT_SAID = [
    "Invalid 'tools[0].function.name': string does not match pattern.",
    "tools.0.custom.input_schema.type: Field required",
    "Unknown parameter: 'tools[0].function.strict'.",
    "tools[0].type: unknown variant `custom`, expected `function`",
    "Unsupported tool type: web_search",
    "Hosted tool 'code_interpreter' is not supported with gpt-4o.",
    "The following tools are not supported: web_search_preview",
    "Tool names must be unique",
    "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified.",
    "Unsupported value: 'tool_choice' does not support 'required' with this model.",
    "Unsupported parameter: 'parallel_tool_calls' is not supported with this model.",
    "Parallel tool calls are not supported",
    "No endpoints found that support the provided 'tool_choice' value",
    "This model does not support more than 128 tools",
    "Function calling with a response mime type: 'application/json' is unsupported",
    "An assistant message with 'tool_calls' must be followed by tool messages",
    "'messages.1' : for 'role:user' : property 'tool_calls' is unsupported, did you mean 'tool_call_id'?",
    "Invalid schema for function 'f': 'minItems' is not permitted.",
    "Invalid schema for response_format 'answer': In context=(), 'oneOf' is not permitted.",
    "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.",
    "response_format.json_schema.strict is not supported",
    "The image format is not supported: image/tiff",
    "You uploaded an unsupported image. Please make sure your image has one of the following formats: png",
    "Unsupported image media type: image/svg+xml",
    "The provided image cannot be processed",
    "This model does not support more than 5 images",
    "image generation is not supported by this model",
    "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
    "Unsupported value: 'temperature' does not support 0.2 with this model.",
    '"MFDoom/deepseek-r1-tool-calling:70b" does not support thinking',
    '"llava-vision:7b" does not support insert',
    "The model `gpt-vision` does not exist or you do not have access to it.",
    "Sorry. Your tools are fine. The server is disabled.",
    "Images of this kind are not allowed by our content policy",
    "Your images were flagged by the safety system and are not permitted",
    "Invalid API key: vision is not enabled for it",
    "The images exceed the maximum context length; more are not supported",
]


@pytest.mark.parametrize("message", NOT_SAID)
def test_what_only_looks_like_it_is_not_remembered(message: str) -> None:
    assert refused(message).refused == ()


@pytest.mark.parametrize(
    "more",
    [
        {"code": "tool_use_failed", "message": "This model does not support tools"},
        {"code": "json_validate_failed", "message": "JSON mode is not supported"},
        {"message": "Failed to call a function. Tools are not supported in 'failed_generation'."},
        {"message": "tool call validation failed: attempted to call tool 'x' not in request.tools: unavailable"},
    ],
)
def test_a_models_own_slip_is_none(more: dict[str, str]) -> None:
    found = failure_from_response(400, msgspec.json.encode({"error": more}), [], "https://p/v1")
    assert (found.kind, found.refused) == (FailureKind.UNSUPPORTED, ())


@pytest.mark.parametrize("status", [401, 402, 408, 413, 429, 502, 503, 504])
def test_a_status_that_says_something_else_says_it(status: int) -> None:
    found = refused("does not support tools", status)
    assert found.kind is not FailureKind.UNSUPPORTED
    assert found.refused == ()


@pytest.mark.parametrize(
    "message",
    ["The vision backend is temporarily not available", "images: service unavailable", "tools are disabled, try again"],
)
def test_a_server_that_cannot_do_it_now_is_not_a_model_that_never_does(message: str) -> None:
    found = refused(message, 500)
    assert (found.kind, found.refused) == (FailureKind.SERVER, ())


@pytest.mark.parametrize("code", ["context_length_exceeded", "content_filter", "model_not_found", "invalid_api_key"])
def test_a_code_that_says_something_else_says_it(code: str) -> None:
    assert refused("does not support tools", code=code).refused == ()


def test_a_refusal_inside_a_200_is_one() -> None:
    found = failure_from_error_object(b'{"error": "m does not support tools"}')
    assert (found.kind, found.refused) == (FailureKind.UNSUPPORTED, (TOOLS,))
    assert failure_from_error_object(b'{"error": "m is broken"}').kind is FailureKind.BAD_ANSWER


# -- any wording ---------------------------------------------------------------------------------------

_NAMES = {
    TOOLS: ["tools", "Tool use", "tool calling", "Function calling", "function calls", "`tools`", "'functions'"],
    SCHEMA: ["JSON schema", "Structured outputs", "structured output", "'json_schema'"],
    JSON: ["JSON mode", "json_object", "'json_object'"],
    IMAGES: ["images", "Image input", "vision", "image_url content", "Multimodal input", "`image_url`"],
    LOGPROBS: ["logprobs", "log probabilities", "'top_logprobs'"],
}
_AFTER = [
    "is not supported", "are not supported by this model", "isn't supported", "is unsupported", "not supported yet",
    "is not available on this model", "is disabled", "is not enabled for {model}", "are not allowed for {model}",
    "is not currently supported", "is unavailable for this deployment", "is only supported by other models",
]  # fmt: skip
_BEFORE = [
    "{model} does not support", "The model {model} doesn't support", "this model does not accept",
    "{model} lacks support for",
    "Unsupported parameter:", "Unrecognized request argument supplied:", "{model} cannot handle", "Model does not have",
    "no provider was found that can support", "{model} is not able to process",
]  # fmt: skip
_MODELS = some.sampled_from(
    ["m", "models/gemma-3-27b-it", "llama3.1:8b", "org/Model-X_v2", "deepseek-r1-tool-calling:70b"]
)


@given(some.sampled_from(list(_NAMES)), some.data())
def test_any_refusal_of_any_name_is_understood(feature: str, data: some.DataObject) -> None:
    name = data.draw(some.sampled_from(_NAMES[feature]))
    before = data.draw(some.booleans())
    words = data.draw(some.sampled_from(_BEFORE if before else _AFTER)).format(model=data.draw(_MODELS))
    said = f"{words} {name}" if before else f"{name} {words}"
    said = data.draw(some.sampled_from(["", "Invalid request. ", "400: "])) + said
    said += data.draw(some.sampled_from(["", ".", ". Use another model.", " (request id: 7)"]))
    passing = "unavailable" in said  # of a server that fails it may mean this moment
    found = refused(said, data.draw(some.sampled_from([400, 404, 422] if passing else [400, 404, 422, 500])))
    assert feature in found.refused, said
    assert found.kind is FailureKind.UNSUPPORTED


@given(some.text(max_size=300), some.sampled_from([400, 404, 422, 500]))
def test_no_text_breaks_it(text: str, status: int) -> None:
    found = refused(text, status)
    assert set(found.refused) <= set(CALLED)


def test_every_row_is_bounded_has_a_source_and_a_feature_that_a_request_can_use() -> None:
    rows = load_refused_features()
    assert [row.feature for row in rows] == list(CALLED)
    for word in [*load_refusing_words(), *(word for row in rows for word in (*row.names, *row.says, *row.unlike))]:
        re.compile(word)
        assert not re.search(r"(?<!\\)[*+]|\{\d+,\}", re.sub(r"\[[^\]]*\]", "", word)), word
    assert all(row.source for row in rows)


@pytest.mark.parametrize(
    "piece", ["tools ", "not ", "image ", "tools.a", "no provider ", "function calling with ", "a"]
)
def test_no_text_makes_it_slow(piece: str) -> None:
    text = (piece * 2000)[:2000]
    started = time.process_time()
    refusals().features(text)
    assert time.process_time() - started < 0.5
