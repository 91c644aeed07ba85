"""The daemon reads the forms that the client writes."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as some

from meshd.formats.multipart.forms import read_form
from modelmesh._shared.forms import encode_form


@given(
    content=some.binary(max_size=400),
    text=some.text(max_size=40),
    model=some.text(alphabet="abc/.:-", min_size=1, max_size=20),
    name=some.sampled_from(["a.wav", "naïve file.mp3", 'quo"ted', ""]),
)
def test_files_and_texts_pass_unchanged_beside_another_model(content: bytes, text: str, model: str, name: str) -> None:
    kind, body = encode_form({"model": "stt", "prompt": text, "n": 2}, {"file": (name, content)})
    form = read_form(body, kind)
    fields = {name: msgspec.Raw(value) for name, value in form.fields.items()}
    written = read_form(form.written({**fields, "model": msgspec.Raw(msgspec.json.encode(model))}), form.content_type)
    assert msgspec.json.decode(written.fields["model"]) == model
    assert (written.fields["prompt"], written.fields["n"]) == (msgspec.json.encode(text), b"2")
    assert [bytes(each.content) for each in written.parts if each.field == "file"] == [content]
