"""What is read of a request's body, whatever its shape."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some
from msgspec.structs import replace

from meshd.core.needs import CONTINUING, PREAMBLE, TOOLS_PREAMBLE, RequestNeeds, of_the_rest
from meshd.formats.openai.body.needs import read
from meshd.formats.openai.body.parameters import with_output_limit, with_parameters
from meshd.operations import chat, completion, embeddings, rerank
from meshd.operations.known import OPERATIONS
from meshd.sdk.provider import OperationSpec
from modelmesh import InvalidRequestError
from tests.support.formats.bodies import split

CHAT = chat.CHAT
HELLO = [{"role": "user", "content": "Hello"}]
PIXEL = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 40_000}}


def needs(operation: OperationSpec = CHAT, **body: Any) -> RequestNeeds:
    return read(operation, json.dumps({"model": "m", "messages": HELLO} | body).encode())[1]


def test_a_plain_question_needs_a_few_tokens() -> None:
    asked, read_needs, *_ = read(CHAT, json.dumps({"model": "chat", "messages": HELLO}).encode())
    assert asked == "chat"
    assert read_needs == RequestNeeds(CHAT, tokens=len(json.dumps(HELLO)) // 4, most=read_needs.most)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"stream": True}, "stream"),
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"functions": [{"name": "f"}]}, "tools"),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, "structured"),
        ({"response_format": {"type": "json_object"}}, "json_mode"),
        ({"logprobs": True}, "logprobs"),
        ({"logprobs": 5}, "logprobs"),
    ],
)
def test_each_thing_a_model_must_declare_is_seen(body: dict[str, Any], field: str) -> None:
    assert getattr(needs(**body), field) is True
    assert getattr(needs(), field) is False


@pytest.mark.parametrize(
    "body",
    [
        {"tools": []},
        {"tools": None},
        {"functions": {}},
        {"response_format": None},
        {"response_format": {"type": "text"}},
        {"response_format": {}},
        {"stream": None},
        {"logprobs": False},
        {"max_tokens": None, "n": None},
    ],
)
def test_an_empty_or_null_field_needs_nothing(body: dict[str, Any]) -> None:
    assert replace(needs(**body), most=0) == replace(needs(), most=0)


@pytest.mark.parametrize(
    ("given", "longest"),
    [
        ("x" * 400, 0), (["x" * 400], 0), ([], 0), ([100_000] * 30, 30), (None, 0),
        (["x" * 398, "y"], 100), ([[100_000] * 200, [2]], 200),
    ],
)  # fmt: skip
def test_texts_to_embed_are_read_one_by_one(given: Any, longest: int) -> None:
    assert needs(embeddings.EMBEDDINGS, input=given).longest == longest


def test_a_query_is_read_again_with_each_document() -> None:
    once = needs(rerank.RERANK, query="q" * 98, documents=["d" * 98])
    often = needs(rerank.RERANK, query="q" * 98, documents=["d" * 98] * 3)
    added = 2 * len('"",' + "d" * 98)
    assert often.most - once.most == pytest.approx(2 * 100 + added, abs=4)
    assert (once.longest, often.longest) == (0, 50)
    assert often.tokens > once.tokens + 2 * 50 - 3


def test_white_space_is_not_a_tool() -> None:
    assert not read(CHAT, b'{"model":"m","tools": [ \n ] }')[1].tools
    assert read(CHAT, b'{"model":"m","tools": [ {} ] }')[1].tools


def test_images_are_counted_where_they_are_parts_and_not_where_they_are_text() -> None:
    assert needs(messages=[{"role": "user", "content": [PIXEL, {"type": "text", "text": "?"}, PIXEL]}]).images == 2
    assert needs(messages=[{"role": "user", "content": [{"type": "input_image"}]}]).images == 1
    assert needs(messages=[{"role": "user", "content": json.dumps([PIXEL])}]).images == 0
    assert needs(embeddings.EMBEDDINGS, input=[PIXEL]).images == 0


def test_an_images_bytes_are_not_text_and_the_text_beside_it_is() -> None:
    picture = needs(messages=[{"role": "user", "content": [PIXEL]}])
    assert 1000 <= picture.tokens < 1100
    text = {"type": "text", "text": "word " * 8000}
    assert needs(messages=[{"role": "user", "content": [PIXEL, text]}]).tokens > 10_000


def carrying(*parts: dict[str, Any]) -> RequestNeeds:
    return needs(messages=[{"role": "user", "content": [*parts, {"type": "text", "text": "?"}]}])


def test_inline_data_is_found_in_the_shapes_of_other_formats() -> None:
    held = "QUJD" * 8000
    source = {"type": "base64", "media_type": "image/png", "data": held}
    picture = carrying({"type": "image", "source": source})
    assert (picture.images, picture.tokens < 1100, picture.most < 1000) == (1, True, True)
    sound = carrying({"type": "audio_url", "audio_url": {"url": f"data:audio/wav;base64,{held}"}})
    assert sound.attached == len(held) // 32
    pages = carrying({"type": "document", "source": {**source, "media_type": "application/pdf"}})
    assert pages.attached == len(held)
    assert carrying({"type": "document_url", "document_url": "https://x/y.pdf"}).attached >= 1_000_000


AUDIO = {"type": "input_audio", "input_audio": {"data": "QUJD" * 8000, "format": "wav"}}
PDF = {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64," + "QUJD" * 1000}}
BARE_PDF = {"type": "file", "file": {"filename": "a.pdf", "file_data": "QUJD" * 1000}}
SPOKEN = {"type": "video_url", "video_url": {"url": "data:audio/mp3;base64," + "QUJD" * 8000}}


def test_most_is_a_token_for_each_byte_and_what_a_provider_adds() -> None:
    body = json.dumps({"model": "m", "messages": HELLO}).encode()
    assert read(CHAT, body)[1].most == len(body) + PREAMBLE
    with_tools = json.dumps({"model": "m", "messages": HELLO, "tools": [{}]}).encode()
    assert read(CHAT, with_tools)[1].most == len(with_tools) + PREAMBLE + TOOLS_PREAMBLE


def test_what_is_carried_beside_text_is_not_in_most() -> None:
    for part in (PIXEL, AUDIO, PDF, BARE_PDF, SPOKEN):
        assert carrying(part).most < 800, part
    both = carrying(PIXEL, AUDIO)
    assert (both.images, both.most < 1000) == (1, True)


def test_sound_and_files_have_tokens_of_their_own() -> None:
    assert carrying(PIXEL).attached == 0
    assert carrying(AUDIO).attached == 1000, "a token for 32 bytes of base64"
    assert carrying(SPOKEN).attached == 1000
    assert carrying(PDF).attached == carrying(BARE_PDF).attached == 4000, "a token for each byte of base64"
    assert carrying(AUDIO, PDF, PIXEL).attached == 5000
    assert carrying(AUDIO).tokens > 1000


def test_a_file_that_is_only_named_may_be_of_any_size() -> None:
    named = {"type": "file", "file": {"file_id": "file-1"}}
    assert carrying(named).attached == 1_000_000
    assert carrying(named, PDF).attached == 1_004_000
    assert carrying({"type": "image_url", "image_url": {"url": "https://x/y.png"}}).attached == 0


def test_text_that_looks_like_an_image_is_text() -> None:
    url = "data:image/png;base64," + "A" * 4000
    for content in (url, [{"type": "text", "text": url}], json.dumps([PIXEL]), f'"url": "{url}'):
        found = needs(messages=[{"role": "user", "content": content}])
        assert found.images == 0
        assert found.most > 4000, content


def odd_spellings(part: dict[str, Any]) -> Iterator[str]:
    """The same part as other writers of JSON have it."""
    plain = json.dumps(part)
    yield plain
    yield plain.replace("/", "\\/")
    yield json.dumps(part, indent=3).replace("\n", "\r\n\t ")
    yield "".join(f"\\u{ord(c):04x}" if c.isalpha() and c not in "ntrue" else c for c in plain)
    yield plain.replace('"type"', '"\\u0074ype"').replace('"file"', '"f\\u0069le"').replace("image", "im\\u0061ge")
    yield plain.replace("data:", "DATA:").replace(";base64,", ";BASE64,")
    yield plain.replace("data:", "d\\u0061ta:").replace("base64", "b\\u0061se64")
    yield json.dumps(dict(reversed(part.items())))
    yield plain.replace('"file_data": "', '"file_data": " ').replace('"url": "', '"url": "\\n')


@pytest.mark.parametrize("part", [PIXEL, AUDIO, PDF, BARE_PDF, SPOKEN], ids=["image", "audio", "pdf", "bare", "spoken"])
def test_what_a_part_carries_is_found_however_it_is_written(part: dict[str, Any]) -> None:
    plain = carrying(part)
    for written in odd_spellings(part):
        assert json.loads(written).get("type") == part["type"]
        content = f'[{written},{{"type":"text","text":"?"}}]'
        body = f'{{"model":"m","messages":[{{"role":"user","content":{content}}}]}}'
        found = read(CHAT, body.encode())[1]
        assert found.images == plain.images, written[:200]
        assert plain.attached <= found.attached <= plain.attached + 2, written[:200]
        assert found.attached < 10_000 or plain.attached >= 10_000, "it is not taken for a file elsewhere"


def test_each_prompt_of_a_completion_is_completed() -> None:
    def choices(**body: Any) -> int:
        return read(completion.COMPLETION, json.dumps({"model": "m"} | body).encode())[1].choices

    assert choices(prompt="a") == 1
    assert choices(prompt=["a", "b"], n=2) == 4
    assert choices(prompt=[1, 2, 3]) == 1
    assert choices(prompt=[[1, 2], [3]]) == 2
    assert choices(prompt=[]) == choices() == choices(prompt=None) == 1


def test_counts_replace_the_bound_and_the_estimate() -> None:
    read_needs = carrying(PIXEL, AUDIO)
    counted = read_needs.counted({"a": 10}).counted({"b": 30})
    assert counted.tokens_at_most("a") == 10
    assert counted.tokens_at_most("b") == 30
    assert counted.tokens_at_most("c") == counted.tokens_at_most("") == read_needs.most
    assert counted.tokens == 30 + 1000 + read_needs.attached
    assert read_needs.counts == {}
    assert read_needs.counted({}) is read_needs


def test_an_output_limit_is_set_by_the_name_that_the_app_uses() -> None:
    asked = {"model": "m", "messages": HELLO}

    def limited(**body: Any) -> dict[str, Any]:
        fields = split(json.dumps(asked | body).encode())
        return {name: msgspec.json.decode(value) for name, value in with_output_limit(fields, 9).items()}

    assert limited() == limited(max_tokens=None) == limited(max_tokens=50) == asked | {"max_tokens": 9}
    assert limited(max_completion_tokens=50) == asked | {"max_completion_tokens": 9}
    assert limited(max_completion_tokens=50, max_tokens=60) == asked | {"max_completion_tokens": 9}
    fields = split(b'{"model":"m"}')
    assert with_output_limit(fields, 9) is not fields, "shared between attempts: never changed"
    assert "max_tokens" not in fields


def test_what_is_there_of_an_answer_is_prompt_for_the_rest_of_it() -> None:
    whole = RequestNeeds(CHAT, tokens=10, most=100, max_output=50, counts={"v": 20})
    rest = of_the_rest(whole, "wörd", 2)
    asked = CONTINUING  # what asks for the rest
    assert (rest.tokens, rest.most, rest.max_output) == (10 + (5 + asked) // 4, 105 + asked, 48)
    assert rest.counts == {"v": 25 + asked}
    assert of_the_rest(whole, "", 70).max_output == 1, "an answer of nothing cannot be asked for"
    assert of_the_rest(RequestNeeds(CHAT), "a", 70).max_output is None


def test_the_prompt_is_what_the_operation_has() -> None:
    assert read(completion.COMPLETION, b'{"model":"m","prompt":"%s"}' % (b"x" * 400))[1].tokens == 100
    assert read(embeddings.EMBEDDINGS, b'{"model":"m","input":["%s"]}' % (b"x" * 400))[1].tokens == 101
    assert read(embeddings.EMBEDDINGS, b'{"model":"m"}')[1].tokens == 0


def test_of_two_output_limits_either_may_be_taken() -> None:
    assert needs(max_tokens=10).max_output == 10
    assert needs(max_tokens=10, max_completion_tokens=20).max_output == 20
    assert needs(max_tokens=20, max_completion_tokens=10).max_output == 20
    assert needs(n=3).choices == 3
    assert needs(n=2, best_of=5).choices == 5


def test_numbers_that_mean_no_limit_never_lower_an_estimate() -> None:
    assert needs(max_tokens=-1).max_output is None
    assert needs(max_tokens=-(10**9), max_completion_tokens=0).max_output is None
    assert needs(max_tokens=100, max_completion_tokens=-1).max_output is None, "either may be taken"
    assert needs(n=-5, best_of=0).choices == 1


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens", "n", "best_of"])
def test_absurd_numbers_are_refused(field: str) -> None:
    with pytest.raises(InvalidRequestError, match=field):
        needs(**{field: 10**12})


def test_a_repeated_key_counts_as_it_does_for_every_json_reader() -> None:
    asked, found, fields, _ = read(CHAT, b'{"model":"a","stream":true,"model":"b","stream":false}')
    assert (asked, found.stream) == ("b", False)
    assert bytes(fields["model"]) == b'"b"'


@pytest.mark.parametrize("name", ["模型", "модель", "😀", 'qu"ote', "a b\n"])
def test_a_models_name_may_be_any_text(name: str) -> None:
    assert read(CHAT, json.dumps({"model": name}).encode())[0] == name
    assert read(CHAT, json.dumps({"model": name}, ensure_ascii=False).encode())[0] == name


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"model":null}',
        b'{"model":""}',
        b'{"model":5}',
        b'{"model":["m"]}',
        b'{"model":{}}',
        b'{"model":"\xff"}',
    ],
)
def test_without_a_usable_model_field_the_request_says_nothing(body: bytes) -> None:
    with pytest.raises(InvalidRequestError, match="`model` has to name") as refused:
        read(CHAT, body)
    assert refused.value.param == "model"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"hello",
        b"[]",
        b"null",
        b'"text"',
        b'{"model":"m"',
        b'{"model":"m"} trailing',
        b"\xff\xfe{",
        b"{'model':'m'}",
    ],
)
def test_what_is_not_a_json_object_is_malformed(body: bytes) -> None:
    with pytest.raises(InvalidRequestError):
        read(CHAT, body)


@pytest.mark.parametrize(
    "body",
    [
        {"stream": "yes"},
        {"max_tokens": "10"},
        {"n": 1.5},
        {"response_format": "json"},
        {"response_format": {"type": 1}},
    ],
)
def test_a_field_of_the_wrong_type_is_malformed_and_named(body: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError, match=next(iter(body))):
        needs(**body)


def test_a_bottomless_body_is_malformed_and_no_crash() -> None:
    body = b'{"model":"m","messages":' + b"[" * 200_000 + b"]" * 200_000 + b"}"
    with pytest.raises(InvalidRequestError):
        read(CHAT, body)


def test_a_huge_body_is_read_once_and_its_values_stay_as_they_are() -> None:
    content = "x" * 8_000_000
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": content}]}).encode()
    asked = read(CHAT, body)
    assert asked.needs.tokens > 2_000_000
    assert bytes(asked.sent["messages"]) in body


def test_describing_says_only_what_is_asked_for() -> None:
    assert RequestNeeds(CHAT).describe() == {"operation": "chat.completions"}
    assert needs(stream=True, max_tokens=9).describe() == {
        "operation": "chat.completions",
        "stream": True,
        "tokens": 9,
        "max_output_tokens": 9,
    }


def test_parameters_lie_under_and_over_the_body() -> None:
    fields = split(b'{"model":"m","temperature":1,"seed":7}')
    merged = with_parameters(fields, {"temperature": 0, "top_p": 0.5}, {"seed": None})
    assert {name: msgspec.json.decode(value) for name, value in merged.items()} == {
        "model": "m",
        "temperature": 1,
        "top_p": 0.5,
        "seed": None,
    }
    assert with_parameters(fields, {}, {}) is fields
    assert bytes(fields["seed"]) == b"7", "shared between attempts: never changed"


_JSON = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats(allow_nan=False) | some.text(),
    lambda inner: some.lists(inner) | some.dictionaries(some.text(), inner),
    max_leaves=10,
)
_KEYS = some.sampled_from(["model", "messages", "stream", "tools", "functions", "n", "response_format", "logprobs"])


@given(some.binary() | some.dictionaries(_KEYS | some.text(), _JSON).map(lambda body: json.dumps(body).encode()))
def test_any_body_is_read_or_is_malformed(body: bytes) -> None:
    for operation in OPERATIONS.values():
        try:
            asked, found, *_ = read(operation, body)
        except InvalidRequestError:
            continue
        assert asked
        assert found.tokens >= 0


@pytest.mark.parametrize("messages", ["Hi", 1, {"role": "user"}, [1], ["Hi"], [{"role": "user"}, "Hi"]])
def test_messages_are_a_list_of_maps(messages: object) -> None:
    with pytest.raises(InvalidRequestError, match="`messages` has to be a list of messages"):
        needs(messages=messages)
