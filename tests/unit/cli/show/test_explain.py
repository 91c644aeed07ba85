"""`meshctl explain`: which model would be asked, and why not another."""

from __future__ import annotations

import json
from typing import Any

import pytest

from meshd.cli.screen import output as out

EXPLANATION = {
    "asked": "chat-completion",
    "resolution": {"kind": "pool", "name": "chat-completion"},
    "pool": "chat-completion",
    "strategy": "round-robin",
    "needs": {"tools": True, "tokens": 100, "images": 0},
    "stages": [{"name": "features", "kept": ["a.one"], "dropped": [{"model": "b.two", "reason": "no tool calling"}]}],
    "chosen": "a.one",
    "order": ["a.one", "c.three"],
    "error": None,
}


def test_explain(fake: Any, meshctl: Any) -> None:
    fake.answers["POST explain"] = EXPLANATION
    shown = meshctl("explain", "chat-completion", "--tools", "--stream", "--tokens", "3", "--max-tokens", "9")
    assert shown.exit_code == 0
    for text in ("✗ b.two: no tool calling", "✓ a.one", "chosen: a.one", "then: c.three", "tools, tokens: 100"):
        assert text in shown.stdout
    request = fake.asked[-1][1]
    assert request["messages"] == [{"role": "user", "content": "word word word"}]
    assert (request["stream"], request["max_tokens"], len(request["tools"])) == (True, 9, 1)
    assert json.loads(meshctl("explain", "chat-completion", "--json").stdout) == EXPLANATION


def test_explain_ends_with_the_stage_that_left_none(fake: Any, meshctl: Any) -> None:
    emptied = {"name": "state", "kept": [], "dropped": [{"model": "a.one", "reason": "broken"}]}
    later = {"name": "limits", "kept": [], "dropped": []}
    fake.answers["POST explain"] = EXPLANATION | {"stages": [*EXPLANATION["stages"], emptied, later], "chosen": None}
    shown = meshctl("explain", "chat-completion").stdout
    assert "state: 0 kept, 1 dropped; no model is left" in shown
    assert "limits" not in shown


def test_explain_says_which_model_is_asked_last_and_why_so_much_is_reserved(fake: Any, meshctl: Any) -> None:
    remark = {"model": "a.one", "reason": "does not declare tools; asked last"}
    because = {"in": "at most one for each of 80 bytes, 128 for its provider's template", "out": "no limit is known"}
    row = {"reservation": {"tokens_in": 208, "tokens_out": 4096, "cost": 0.0, "because": because}}
    fake.answers["POST explain"] = EXPLANATION | {
        "stages": [EXPLANATION["stages"][0] | {"remarks": [remark]}],
        "candidates": [row | {"model": "a.one"}, row | {"model": "b.two"}],
    }
    shown = meshctl("explain", "chat-completion").stdout
    assert "✓ a.one: does not declare tools; asked last" in shown
    assert "is reserved; the prompt has about 100 tokens" in shown
    assert "a.one, b.two\n    208 in: at most one for each of 80 bytes" in shown
    assert "4,096 out: no limit is known" in shown


def test_explain_embeddings_and_images(fake: Any, meshctl: Any) -> None:
    fake.answers["POST explain"] = EXPLANATION
    meshctl("explain", "text-embeddings")
    assert fake.asked[-1][1] == {"model": "text-embeddings", "path": "/v1/embeddings", "input": "word"}
    meshctl("explain", "m", "--for", "completion")
    assert fake.asked[-1][1]["prompt"] == "word"
    meshctl("explain", "m", "--image")
    assert fake.asked[-1][1]["messages"][0]["content"][1]["type"] == "image_url"


def test_explain_a_refusal_exits_1(fake: Any, meshctl: Any) -> None:
    refused = EXPLANATION | {
        "chosen": None,
        "order": [],
        "error": {"message": "no model can", "code": "no_active_model"},
    }
    fake.answers["POST explain"] = refused
    shown = meshctl("explain", "chat-completion")
    assert (shown.exit_code, "refused: no model can" in shown.stdout) == (1, True)
    again = meshctl("explain", "chat-completion", "--json")
    assert (again.exit_code, json.loads(again.stdout)) == (1, refused)


def test_the_code_of_a_refusal_stands_with_its_sentence(fake: Any, meshctl: Any) -> None:
    message = "No model of all can be asked now; ask again in 1 s.\n" + "\n".join(
        f"  {name}: provider {name}: it does not answer probes: connection refused by 127.0.0.1:18999"
        for name in ("first", "second")
    )
    fake.answers["POST explain"] = EXPLANATION | {"error": {"code": "no_active_model", "message": message}}
    lines = meshctl("explain", "chat-completion").stdout.splitlines()
    assert "refused: No model of all can be asked now; ask again in 1 s. (no_active_model)" in lines
    rest = lines[lines.index("refused: No model of all can be asked now; ask again in 1 s. (no_active_model)") + 1 :]
    assert len(rest) > 2
    assert all(line.startswith("  ") for line in rest), "each detail below its own beginning"


def test_a_pipe_reads_words_where_a_terminal_has_marks(
    fake: Any, meshctl: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.answers["POST explain"] = EXPLANATION
    monkeypatch.setattr(out, "on_terminal", lambda: False)
    shown = meshctl("explain", "chat-completion").stdout
    assert "  dropped b.two: no tool calling\n" in shown
    assert "  kept a.one\n" in shown
    assert not set(shown) & set("✓✗→")
