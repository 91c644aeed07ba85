"""`meshctl batch` and the client's `files` and `batches` at a real daemon."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from modelmesh.errors import NotFoundError
from tests.integration.batches.test_rate_share import limited
from tests.support.apps.sdks.batches import finished, jsonl, line
from tests.support.processes.meshctl import run


def meshctl(daemon: Any, *words: str) -> Any:
    return run(*words, MESH_SOCKET=str(daemon.socket), COLUMNS="120")


def test_from_a_file_to_its_results(daemon: Any, tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_bytes(jsonl([line("a"), line("b", model="refusing")]))
    submitted = meshctl(daemon, "batch", "submit", str(path), "--wait", "--json")
    made = json.loads(submitted.stdout)
    assert (made["status"], made["endpoint"]) == ("completed", "/v1/chat/completions")
    shown = meshctl(daemon, "batch", "status", made["id"])
    assert "1 answered, 1 failed, of 2" in shown.stdout
    assert f"answers   meshctl batch results {made['id']}\n" in shown.stdout
    assert f"errors    meshctl batch results {made['id']} --errors\n" in shown.stdout
    assert json.loads(meshctl(daemon, "batch", "results", made["id"]).stdout)["custom_id"] == "a"
    errors = tmp_path / "errors.jsonl"
    assert meshctl(daemon, "batch", "results", made["id"], "--errors", "-o", str(errors)).returncode == 0
    assert json.loads(errors.read_text())["custom_id"] == "b"
    assert made["id"] in meshctl(daemon, "batch", "list").stdout
    refused = meshctl(daemon, "batch", "cancel", made["id"])
    assert (refused.returncode, "has ended" in refused.stderr) == (1, True)


def test_faults_are_told_by_line(daemon: Any, tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_bytes(jsonl([line("a"), line("a")]))
    failed = meshctl(daemon, "batch", "submit", str(path), "--wait")
    assert failed.returncode == 1
    assert "line 2: `custom_id` 'a' is used on an earlier line" in failed.stderr
    assert "none was sent" in failed.stdout
    path.write_bytes(b"no line\n")
    refused = meshctl(daemon, "batch", "submit", str(path))
    assert (refused.returncode, "its first line is not a request" in refused.stderr) == (2, True)


def test_what_a_batch_without_results_says(meshd: Any, tmp_path: Path) -> None:
    daemon = meshd(limited(1))
    path = tmp_path / "lines.jsonl"
    path.write_bytes(jsonl([line("a"), line("b")]))
    made = json.loads(meshctl(daemon, "batch", "submit", str(path), "--json").stdout)
    shown = meshctl(daemon, "batch", "status", made["id"]).stdout
    assert f"wait       meshctl batch status {made['id']} --wait\n" in shown
    early = meshctl(daemon, "batch", "results", made["id"])
    assert (early.returncode, "has no answers to read yet" in early.stderr) == (1, True)
    assert meshctl(daemon, "batch", "cancel", made["id"]).returncode == 0


def test_the_client_keeps_files_and_runs_batches(daemon: Any) -> None:
    client = daemon.client()
    uploaded = client.files.create(file=("l.jsonl", jsonl([line("a")])), purpose="batch")
    assert client.files.content(uploaded.id).read() == jsonl([line("a")])
    batch = finished(client, client.batches.create(input_file_id=uploaded.id, endpoint="/v1/chat/completions"))
    assert (batch.status, batch.request_counts.completed) == ("completed", 1)
    assert batch.id in {each.id for each in client.batches.list().data}
    assert uploaded.id in {each.id for each in client.files.list(purpose="batch").data}
    assert client.files.retrieve(batch.output_file_id).purpose == "batch_output"
    assert client.files.delete(uploaded.id).deleted
    with pytest.raises(NotFoundError):
        client.files.retrieve(uploaded.id)
