"""What an app asks is read alike for all services, and every service can be loaded."""

from __future__ import annotations

import itertools

import pytest

from meshd.catalogue.known import load_models, load_provider_rows
from meshd.operations.known import OPERATIONS, serves
from meshd.routing.table.capabilities import CapabilityTree
from meshd.sdk.provider import FailureKind, ProviderFailure
from meshd.services.documents.query import form
from meshd.services.known import SERVICES, service
from meshd.services.seam import Asked, File, Malformed, Told, pauses, segment
from meshd.services.search.query import SearchQuery
from meshd.services.translation.query import Translation

PROVIDERS = {str(row.quirks["service"]): row.id for row in load_provider_rows() if "service" in row.quirks}
EMBEDDED = {name: f"modelmesh.{name}.v1" for name in ("local-speech", "local-transcription")}
TREE = CapabilityTree.default()


@pytest.mark.parametrize("name", SERVICES)
def test_each_has_a_row_whose_models_answer_its_operations(name: str) -> None:
    models = load_models((PROVIDERS | EMBEDDED)[name])
    asked = {operation: OPERATIONS[operation] for operation in service(name).operations}
    for operation in asked.values():
        capabilities = [TREE.resolve(each) for model in models for each in model.capabilities]
        assert any(each is not None and serves(operation, each) for each in capabilities), operation


def test_a_field_that_does_not_fit_is_named() -> None:
    with pytest.raises(ProviderFailure) as failure:
        Asked("m", {"query": "x", "max_results": "ten"}).read(SearchQuery)
    assert (failure.value.kind, failure.value.unsent) == (FailureKind.INVALID_REQUEST, True)
    assert b'"param":"max_results"' in failure.value.body
    with pytest.raises(ProviderFailure, match="`query`"):
        Asked("m", {}).read(SearchQuery)


def test_a_field_that_is_not_known_is_refused_and_one_that_says_who_asks_is_not() -> None:
    assert Asked("m", {"query": "x", "user": "me", "model": "m"}).read(SearchQuery).query == "x"
    with pytest.raises(ProviderFailure, match="`depth`") as failure:
        Asked("m", {"query": "x", "depth": 1}).read(SearchQuery)
    assert failure.value.kind is FailureKind.UNSUPPORTED


def test_texts_of_a_form_become_numbers_and_flags() -> None:
    file = File("file", "a.pdf", "application/pdf", memoryview(b""))
    asked = Asked("m", {"query": "x", "max_results": "7", "content": "true", "file": {}}, (file,))
    query = asked.read(SearchQuery)
    assert (query.max_results, query.content) == (7, True)


@pytest.mark.parametrize("name", [None, "", [], {}, 1.5])
def test_an_id_that_is_none(name: object) -> None:
    with pytest.raises(Malformed):
        segment(name)


def test_an_id_stays_one_part_of_a_path() -> None:
    assert segment("../a?b#c") == "..%2Fa%3Fb%23c"


@pytest.mark.parametrize("body", [b"", b"[1]", b"nothing", b"<html>"])
def test_an_answer_that_is_no_object(body: bytes) -> None:
    with pytest.raises(Malformed):
        Told(200, {}, body).object()


def test_pauses_grow_up_to_a_bound() -> None:
    found = list(itertools.islice(pauses(), 20))
    assert found == sorted(found)
    assert (found[0], found[-1]) == (0.25, 5.0)


def test_a_file_name_cannot_break_out_of_a_form() -> None:
    file = File("file", 'a"\r\nX: y\\.pdf', "text/plain\r\nX: y", memoryview(b"content"))
    kind, body = form("files", file, [("strategy", "auto")])
    assert kind.startswith("multipart/form-data; boundary=")
    assert b"\r\nX: y" not in body
    assert b"content" in body


def test_texts_are_grouped_by_number_and_by_size() -> None:
    translation = Translation(["a" * 6, "b" * 6, "c", "d" * 20, "e"], "de")
    assert [list(map(len, part)) for part in translation.parts(2, 10)] == [[6], [6, 1], [20], [1]]
