"""OpenAI's SDK keeps files at a real daemon."""

from __future__ import annotations

import os
from typing import Any

import httpx
import openai
import pytest

from tests.support.apps.sdks.batches import upload
from tests.support.waiting import until

BIG = os.urandom(900_000)


@pytest.mark.parametrize("content", [b"", b"one line\n", b"--\r\n\r\n--\r\n" * 9000, BIG])
def test_a_file_comes_back_as_it_was(one: Any, content: bytes) -> None:
    made = upload(one, content, "user_data")
    assert (made.bytes, made.filename, made.purpose, made.status) == (
        len(content),
        "lines.jsonl",
        "user_data",
        "processed",
    )
    assert one.files.content(made.id).read() == content
    assert one.files.retrieve(made.id) == made
    assert made.id in {each.id for each in one.files.list(purpose="user_data")}
    assert made.id not in {each.id for each in one.files.list(purpose="batch")}
    assert one.files.delete(made.id).deleted
    with pytest.raises(openai.NotFoundError):
        one.files.content(made.id)


def test_only_its_user_can_read_it(daemon: Any, one: Any) -> None:
    made = upload(one, b"secret words", "user_data")
    path = daemon.state / "files" / made.id
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert path.read_bytes() == b"secret words"
    one.files.delete(made.id)
    until(lambda: not path.exists(), what="the file is removed")


def test_a_file_that_is_too_large_leaves_nothing(daemon: Any, one: Any) -> None:
    with pytest.raises(openai.APIStatusError) as refused:
        upload(one, b"x" * 1_000_001, "user_data")
    assert (refused.value.status_code, refused.value.code) == (413, "message_too_large")
    until(lambda: not list((daemon.state / "files").glob("*.part")), what="what came is removed")


def test_one_user_cannot_fill_the_disk(one: Any, two: Any) -> None:
    made = [upload(two, BIG, "user_data").id for _ in range(3)]
    with pytest.raises(openai.APIStatusError) as refused:
        upload(two, BIG, "user_data")
    assert (refused.value.status_code, refused.value.code) == (413, "storage_limit_exceeded")
    one.files.delete(upload(one, BIG, "user_data").id)
    for each in made:
        two.files.delete(each)
    made = [upload(two, b"", "user_data").id for _ in range(40 - len(two.files.list().data))]
    with pytest.raises(openai.APIStatusError):
        upload(two, b"", "user_data")
    for each in made:
        two.files.delete(each)


@pytest.mark.parametrize(
    ("fields", "files"),
    [
        ({"purpose": "nonsense"}, {"file": ("a", b"x")}),
        ({"purpose": "batch"}, {"other": ("a", b"x")}),
        ({"purpose": "batch"}, {}),
        ({"purpose": "batch", "expires_after[seconds]": "5"}, {"file": ("a", b"x")}),
    ],
)
def test_forms_that_are_not_files(daemon: Any, fields: dict[str, str], files: dict[str, Any]) -> None:
    url = daemon.status()["http"]["addresses"][0]
    assert httpx.post(f"{url}/v1/files", data=fields, files=files).status_code in (400, 415)


def test_a_file_expires_when_asked(one: Any) -> None:
    made = upload(one, b"x", "user_data", expires_after={"anchor": "created_at", "seconds": 3600})
    assert made.expires_at == made.created_at + 3600
    one.files.delete(made.id)
