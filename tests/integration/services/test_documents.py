"""Parsing of documents through the daemon: a form with a file, and a job that is submitted and polled."""

from __future__ import annotations

import json
from typing import Any

import pytest

import modelmesh
from tests.support.providers.services.documents import PAGES, LlamaParse
from tests.support.providers.services.server import ServicesServer

PDF = (
    b"%PDF-1.4\n"
    + b"1 0 obj << /Type /Page >> endobj\n2 0 obj << /Type /Page >> endobj\n3 0 obj << /Type /Pages >> endobj\n"
)


def test_unstructured(client: Any, services: ServicesServer) -> None:
    answer = client.documents.parse(
        model="unstructured.partition", file=("a.pdf", PDF, "application/pdf"), elements=True
    )
    assert answer.format == "markdown"
    assert answer.pages[0].to_dict() == {"number": 1, "text": f"# {PAGES[0]}\n\n{PAGES[0]} at night."}
    assert answer.text.endswith("<table><tr><td>1</td></tr></table>")
    assert answer.elements[0].to_dict() == {"type": "Title", "text": PAGES[0], "page": 1}
    assert b'filename="a.pdf"\r\nContent-Type: application/pdf' in services.sent["unstructured"][-1].body
    assert answer.mesh.cost == pytest.approx(2 * 0.03), "as many pages as the file has"


def test_llamaparse_is_polled(client: Any, jobs: LlamaParse) -> None:
    answer = client.documents.parse(model="llamaparse.agentic", file=("a.pdf", PDF), languages=["en", "de"])
    assert (answer.format, answer.text) == ("markdown", f"# {PAGES[0]}\n\n# {PAGES[1]}")
    assert answer.mesh.cost == pytest.approx(2 * 0.0125)
    times, name, configuration = list(jobs.jobs.values())[-1]
    assert (times, name) == (3, "a.pdf")
    assert configuration["processing_options"] == {"ocr_parameters": {"languages": ["en", "de"]}}
    text = client.documents.parse(model="llamaparse.fast", file=("a.pdf", PDF))
    assert (text.format, text.text) == ("text", "\n\n".join(PAGES))


def test_googles_vision_reads_pages_and_pictures(client: Any, services: ServicesServer) -> None:
    """Five pages a request. 0.0015 USD a page: as many are paid as there were, up to what was counted."""
    seven = b"%PDF-1.4\n" + b"1 0 obj << /Type /Page >> endobj\n" * 7 + b"\x07"
    answer = client.documents.parse(model="google-cloud.vision", file=("a.pdf", seven), languages="de", elements=True)
    assert (answer.format, answer.usage.pages) == ("text", 7)
    assert [page.text for page in answer.pages] == ["Lamp 1", "", *(f"Lamp {n}" for n in range(3, 8))]
    assert answer.elements[1].to_dict() == {"type": "text", "text": "Lamp 3", "page": 3}
    assert answer.mesh.cost == pytest.approx(7 * 0.0015)
    [first], [second] = (json.loads(each.body)["requests"] for each in services.sent["google-cloud"][-2:])
    assert "pages" not in first
    assert second["pages"] == [6, 7]
    assert first["imageContext"] == {"languageHints": ["de"]}
    assert client.documents.parse(model="ocr", file=("a.png", b"\x89PNG")).text == "Lamp 1"
    for asked, why in (
        ({"file": ("a.png", b"BAD")}, "Bad image data"),
        ({"file": ("a.pdf", seven), "output": "markdown"}, "output"),
    ):
        with pytest.raises(modelmesh.APIError, match=why):
            client.documents.parse(model="google-cloud.vision", **asked)


def test_a_job_that_fails_says_why(client: Any) -> None:
    with pytest.raises(modelmesh.ProviderError, match="encrypted"):
        client.documents.parse(model="llamaparse.agentic", file=("broken.pdf", PDF))


def test_the_next_member_is_asked_if_the_first_cannot(client: Any) -> None:
    file = ("a.pdf", PDF)
    assert client.documents.parse(model="documents", file=file).mesh.model == "unstructured.partition"
    answer = client.documents.parse(model="documents", file=file, instructions="Leave the tables out.")
    assert answer.mesh.model == "llamaparse.agentic"


def test_a_form_without_a_file(client: Any) -> None:
    with pytest.raises(modelmesh.InvalidRequestError, match="`file`"):
        client.documents.parse(model="llamaparse.agentic", file=None)
