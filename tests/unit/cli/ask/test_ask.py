"""`meshctl chat` and `embed`: what counts as the prompt, what is printed where, and what is a failure."""

from __future__ import annotations

import json
from typing import Any

from modelmesh import AllProvidersExhaustedError, DaemonUnavailableError, NotFoundError, StreamInterrupted

KNOWN = {"error": None, "chosen": "m"}


def unknown(_: Any) -> Any:
    raise NotFoundError("no model is called that", code="model_not_found")


def test_model_and_prompt(fake: Any, meshctl: Any) -> None:
    done = meshctl("chat", "a.one", "Say hello", "--system", "Be brief", "--max-tokens", "9", "--temperature", "0.5")
    assert (done.exit_code, done.stdout) == (0, "Hello there\n")
    assert "m · p · 2 tokens · first token" in done.stderr
    assert done.stderr.endswith("· 1 attempt\n")
    assert fake.asked == [
        (
            "create",
            {
                "model": "a.one",
                "messages": [{"role": "system", "content": "Be brief"}, {"role": "user", "content": "Say hello"}],
                "stream": True,
                "max_tokens": 9,
                "temperature": 0.5,
            },
        )
    ]


def test_one_word_the_daemon_knows_is_the_model(fake: Any, meshctl: Any) -> None:
    fake.answers["POST explain"] = KNOWN
    assert meshctl("chat", "fast", input="from a pipe").exit_code == 0
    assert fake.asked[-1][1]["model"] == "fast"
    assert fake.asked[-1][1]["messages"][-1]["content"] == "from a pipe"


def test_one_word_it_does_not_know_is_the_prompt(fake: Any, meshctl: Any) -> None:
    for answer in (unknown, {"error": {"code": "model_not_found", "message": "?"}}):
        fake.answers["POST explain"] = answer
        assert meshctl("chat", "Hello").exit_code == 0
        request = fake.asked[-1][1]
        assert (request["model"], request["messages"][-1]["content"]) == ("chat-completion", "Hello")


def test_a_sentence_is_the_prompt_without_asking(fake: Any, meshctl: Any) -> None:
    assert meshctl("chat", "What is it?").exit_code == 0
    assert [asked for asked, _ in fake.asked] == ["create"]


def test_a_pipe(fake: Any, meshctl: Any) -> None:
    for words in ((), ("-",), ("a.one", "-")):
        assert meshctl("chat", *words, input="piped\n").exit_code == 0
        assert fake.asked[-1][1]["messages"][-1]["content"] == "piped\n"
    assert meshctl("chat", input="").exit_code == 2


def test_json_is_the_whole_answer(fake: Any, meshctl: Any) -> None:
    done = meshctl("chat", "a.one", "Say hello", "--json")
    answer = json.loads(done.stdout)
    assert answer["choices"][0]["message"]["content"] == "Hello there"
    assert answer["mesh"]["provider"] == "p"
    assert answer["total_time"] >= 0


def test_no_stream(fake: Any, meshctl: Any) -> None:
    done = meshctl("chat", "a.one", "Say hello", "--no-stream")
    assert (done.exit_code, done.stdout) == (0, "Hello there\n")
    assert "stream" not in fake.asked[-1][1]


def test_an_empty_answer_is_not_a_success(fake: Any, meshctl: Any) -> None:
    for pieces in ([], ["", " \n"]):
        fake.pieces = pieces
        for words in ((), ("--no-stream",)):
            done = meshctl("chat", "a.one", "Say hello", *words)
            assert (done.exit_code, "empty answer" in done.stderr) == (1, True)


def test_a_stream_that_breaks(fake: Any, meshctl: Any) -> None:
    fake.pieces = ["Hel", StreamInterrupted("the provider went away", text="Hel")]
    done = meshctl("chat", "a.one", "Say hello")
    assert (done.exit_code, done.stdout[:3]) == (1, "Hel")
    assert "the provider went away" in done.stderr


def test_each_failed_attempt_is_named(fake: Any, meshctl: Any) -> None:
    attempts = [{"model": "a.one", "reason": "rate_limit", "status": 429}, {"model": "b.two", "message": "gone"}]
    fake.pieces = [AllProvidersExhaustedError("all 2 attempts failed", attempts=attempts)]
    done = meshctl("chat", "a.one", "Say hello")
    assert done.exit_code == 1
    assert done.stderr.splitlines() == [
        "meshctl: all 2 attempts failed",
        "  a.one: rate_limit (429)",
        "  b.two: gone",
    ]


def test_a_model_that_its_provider_does_not_have(fake: Any, meshctl: Any) -> None:
    message = "tiny is not on this machine; run: meshctl pull tiny"
    attempts = [{"model": "local.tiny", "provider": "local", "status": 404, "message": message}]
    fake.pieces = [NotFoundError(message, status_code=404, attempts=attempts)]
    assert meshctl("chat", "local.tiny", "Say hello").stderr.splitlines() == [
        "meshctl: Provider local does not have this model (404).",
        f"  local.tiny: {message}",
    ]


def test_no_daemon(fake: Any, meshctl: Any) -> None:
    fake.pieces = [DaemonUnavailableError("nobody", paths=["/nowhere/mesh.sock"])]
    done = meshctl("chat", "a.one", "Say hello")
    assert done.exit_code == 69
    assert "tried /nowhere/mesh.sock: no such file" in done.stderr
    again = meshctl("chat", "a.one", "Say hello", "--json")
    assert (again.exit_code, again.stdout) == (69, "")
    assert json.loads(again.stderr)["error"]["paths"] == ["/nowhere/mesh.sock"]


def test_ctrl_c_is_quiet(fake: Any, meshctl: Any) -> None:
    fake.pieces = ["Hel", KeyboardInterrupt()]
    done = meshctl("chat", "a.one", "Say hello")
    assert (done.exit_code, done.stderr) == (130, "")


def test_embed(fake: Any, meshctl: Any) -> None:
    done = meshctl("embed", "the cat")
    assert "8 dimensions: [0.50000, 0.50000, 0.50000, 0.50000, 0.50000, 0.50000, …]" in done.stdout
    assert fake.asked[-1][1] == {"model": "text-embeddings", "input": "the cat"}
    assert (
        len(json.loads(meshctl("embed", "-", "--json", "--model", "x", input="piped").stdout)["data"][0]["embedding"])
        == 8
    )
    assert fake.asked[-1][1] == {"model": "x", "input": "piped"}
    assert meshctl("embed", "-", input="").exit_code == 2
