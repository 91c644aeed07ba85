"""An operation that is not a conversation, between formats: OpenAI's form of it stands between the two."""

from __future__ import annotations

from typing import Any, cast

import msgspec
import pytest

from meshd.formats.bridge import Bridge
from meshd.formats.conversation.reading import Unreadable
from meshd.formats.openai.format import OPENAI
from meshd.formats.protocol import Format
from meshd.operations.embeddings import EMBEDDINGS
from meshd.sdk.calls.form import Form
from meshd.sdk.provider import FailureKind, Provider, ProviderAnswer, ProviderCall, ProviderFailure
from modelmesh.errors import InvalidRequestError

OPERATION = msgspec.structs.replace(EMBEDDINGS, paths={**EMBEDDINGS.paths, "vectors": "/vectors"})


class Vectors:
    """`{"what": …}`, answered by `{"made": [n]}`; for providers and for apps."""

    def write_request(self, asked: Any, model: str) -> Any:
        if "dimensions" in asked:
            raise InvalidRequestError("no dimensions", param="dimensions")
        return {"what": asked["input"], "of": msgspec.Raw(msgspec.json.encode(model))}

    def read_answer(self, body: bytes, asked: Any, model: str) -> bytes:
        made = msgspec.json.decode(body).get("made")
        if made is None:
            raise Unreadable("nothing made")
        return msgspec.json.encode({"data": [{"embedding": made}], "model": model})

    def read_request(self, fields: Any) -> Any:
        return {"input": fields["what"]}

    def write_answer(self, body: bytes, asked: Any) -> bytes:
        return msgspec.json.encode({"made": msgspec.json.decode(body)["data"][0]["embedding"]})


VECTORS: Format = msgspec.structs.replace(
    OPENAI, name="vectors", operations={"embeddings": Vectors}, app_operations={"embeddings": Vectors}
)


class Maker:
    """A provider."""

    name = "maker"
    asked: Any = None
    called: ProviderCall

    def __init__(self, answer: Any) -> None:
        self._answer = msgspec.json.encode(answer)

    async def execute(self, call: ProviderCall) -> ProviderAnswer:
        self.called = call
        self.asked = msgspec.json.decode(msgspec.json.encode(call.fields))
        return ProviderAnswer(self._answer)


async def answered(app: Format, spoken: Format, body: Any, maker: Maker, form: Form | None = None) -> Any:
    fields = msgspec.json.decode(msgspec.json.encode(body), type=dict[str, msgspec.Raw])
    call = ProviderCall(OPERATION, "m", fields, form=form, headers={"openai-beta": "x"})
    return msgspec.json.decode((await Bridge(cast(Provider, maker), app, spoken, 0).execute(call)).body)


async def test_an_app_of_openai_is_answered_by_another_format() -> None:
    maker = Maker({"made": [1, 2]})
    answer = await answered(OPENAI, VECTORS, {"model": "x", "input": "hi"}, maker)
    assert answer == {"data": [{"embedding": [1, 2]}], "model": "m"}
    assert maker.asked == {"what": "hi", "of": "m"}
    assert (maker.called.format, maker.called.headers) == ("vectors", {})


async def test_an_app_of_another_format_is_answered_by_openai() -> None:
    maker = Maker({"data": [{"embedding": [3]}]})
    assert await answered(VECTORS, OPENAI, {"what": "hi"}, maker) == {"made": [3]}
    assert maker.asked == {"input": "hi"}


@pytest.mark.parametrize(
    ("body", "answer", "kind"),
    [
        ({"input": "hi", "dimensions": 3}, {"made": [1]}, FailureKind.UNSUPPORTED),
        ({"input": "hi"}, {"other": 1}, FailureKind.BAD_ANSWER),
    ],
)
async def test_what_cannot_be_said_is_a_failure(body: Any, answer: Any, kind: FailureKind) -> None:
    with pytest.raises(ProviderFailure) as raised:
        await answered(OPENAI, VECTORS, body, Maker(answer))
    assert raised.value.kind is kind
    assert "dimensions" in raised.value.message or "nothing made" in raised.value.message


async def test_a_format_without_the_operation_or_with_a_form_is_not_asked() -> None:
    unknown = msgspec.structs.replace(VECTORS, name="unknown")
    as_it_is = msgspec.structs.replace(VECTORS, operations={})
    for spoken, form in ((unknown, None), (as_it_is, Form(b"b", (), {}))):
        maker = Maker({})
        with pytest.raises(ProviderFailure, match="which has no embeddings") as raised:
            await answered(OPENAI, spoken, {"input": "hi"}, maker, form)
        assert (raised.value.unsent, maker.asked) == (True, None)
