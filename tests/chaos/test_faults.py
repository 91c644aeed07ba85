"""Every way a provider can fail, before the first content and after it, on a real socket.

The app gets one whole answer, once, with one id, and notices nothing; or, where the pool says `terminate`, the text so
far and StreamInterrupted.
"""

from __future__ import annotations

import socket

import pytest

import modelmesh

BEFORE = {
    "reset": {"fault": "reset"},
    "clean-close": {"fault": "clean_close"},
    "cut-chunk": {"fault": "cut_chunk"},
    "silence": {"fault": "silence"},
    "bad-end": {"fault": "bad_end"},
    "error-event": {"fault": "error_event", "message": "overloaded inside"},
    "empty": {"fault": "empty"},
    "html": {"fault": "html"},
    "timeout": {"fault": "timeout"},
    "stalled": {"reply": "too late", "delay": "20s"},
    "400-tools": {"error": 400, "message": "tools is not supported by this model", "code": "unsupported_parameter"},
    "401": {"error": 401, "message": "bad key"},
    "402": {"error": 402, "message": "no credit"},
    "403": {"error": 403, "message": "not yours"},
    "404": {"error": 404, "message": "no such model", "code": "model_not_found"},
    "408": {"error": 408},
    "429": {"error": 429, "retry_after": 60},
    "500": {"error": 500},
    "502": {"error": 502},
    "503": {"error": 503},
    "504": {"error": 504},
    "529": {"error": 529},
    "refused": None,
}
AFTER = {
    "after-reset": {"fault": "reset"},
    "after-clean-close": {"fault": "clean_close"},
    "after-cut-chunk": {"fault": "cut_chunk"},
    "after-silence": {"fault": "silence"},
    "after-bad-end": {"fault": "bad_end"},
    "after-error-event": {"fault": "error_event"},
}
TEXT = "one two three four"
WORDS = ["one ", "two ", "three ", "four"]


@pytest.fixture(scope="module")
def daemon(module_meshd, module_upstream):
    """A pool for each fault: the faulty model first, a healthy one after it. Each faulty model has a provider of its
    own, so that no fault is another's."""
    steps = {name: step for name, step in BEFORE.items() if step is not None}
    steps |= {name: {"tokens": WORDS, "after": 2, **step} for name, step in AFTER.items()}
    steps["after-bad-chunk"] = {"tokens": WORDS, "fault": "bad_chunk", "after": 2}
    steps["healthy"] = {"tokens": WORDS}
    server = module_upstream({"script": {name: [step] for name, step in steps.items()}})
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{probe.getsockname()[1]}/v1"
    names = [*steps, "refused"]
    return module_meshd(
        {
            "providers": {
                f"p-{name}": server.provider(timeout="1s", **({"base_url": closed} if name == "refused" else {}))
                for name in names
            },
            "models": {
                f"m-{name}": {"provider": f"p-{name}", "model": name, "capabilities": ["chat-completion"]}
                for name in names
            },
            "pools": {
                prefix + name: {
                    "models": [f"m-{name}", "m-healthy"],
                    "retry": {"max_attempts": 1},
                    "stream": {"first_token_timeout": "300ms", "idle_timeout": "300ms", "on_failure": on_failure},
                }
                for name in names
                for prefix, on_failure in (("", "continue"), ("terminate-", "terminate"))
            },
            "discovery": {"health": {"enabled": False}},
        }
    )


@pytest.fixture(scope="module")
def client(daemon):
    return daemon.client()


def ask(client, name, **options):
    return client.chat.completions.create(model=name, messages=[{"role": "user", "content": "hi"}], **options)


@pytest.mark.parametrize("name", BEFORE)
def test_a_stream_that_fails_before_its_first_content_is_somebody_elses_whole(client, name):
    chunks = list(ask(client, name, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == TEXT
    assert len({chunk.id for chunk in chunks}) == 1
    assert {chunk.model for chunk in chunks} == {"healthy"}
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    mesh = chunks[-1].mesh
    assert mesh.model == "m-healthy"
    # A failure that put its provider on standby earlier is not even tried again.
    assert [attempt.model for attempt in mesh.attempts][-1] == "m-healthy"
    for attempt in mesh.attempts[:-1]:
        assert attempt.reason
        assert attempt.message


@pytest.mark.parametrize("name", BEFORE)
def test_a_request_that_fails_is_answered_elsewhere(client, name):
    answer = ask(client, name)
    assert answer.choices[0].message.content == TEXT
    assert answer.mesh.model == "m-healthy"


@pytest.mark.parametrize("name", AFTER)
def test_a_stream_that_breaks_after_content_is_gone_on_with_by_another_model(client, daemon, name):
    daemon.ask("POST", "/mesh/v1/models/activate", {"id": f"m-{name}"})
    chunks = list(ask(client, name, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == TEXT
    assert len({chunk.id for chunk in chunks}) == 1
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices].count("stop") == 1
    mesh = chunks[-1].mesh
    assert (mesh.model, mesh.continued) == ("m-healthy", 1)
    assert [attempt.model for attempt in mesh.attempts] == [f"m-{name}", "m-healthy"]
    assert daemon.model(f"m-{name}")["in_flight"] == 0


@pytest.mark.parametrize("name", AFTER)
def test_where_nobody_may_go_on_the_stream_ends_with_its_text(client, daemon, name):
    daemon.ask("POST", "/mesh/v1/models/activate", {"id": f"m-{name}"})
    pieces: list[str] = []

    def read():
        for chunk in ask(client, f"terminate-{name}", stream=True):
            pieces.append(chunk.choices[0].delta.content or "")

    with pytest.raises(modelmesh.StreamInterrupted) as caught:
        read()
    assert "".join(pieces) == "one two "
    error = caught.value
    assert error.text == "one two "
    assert (error.status_code, error.code) == (502, "stream_interrupted")
    assert [attempt["model"] for attempt in error.attempts] == [f"m-{name}"]
    assert daemon.model(f"m-{name}")["in_flight"] == 0


def test_one_bad_chunk_is_skipped_when_the_stream_goes_on(client):
    chunks = list(ask(client, "after-bad-chunk", stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == TEXT
    assert chunks[-1].mesh.model == "m-after-bad-chunk"


def test_when_all_fail_the_error_names_every_attempt(daemon, client):
    from modelmesh import AllProvidersExhaustedError

    faulty = ["500", "html", "timeout"]
    config = daemon.ask("GET", "/mesh/v1/config")["config"]
    config["pools"]["all"] = {
        "models": [f"m-{name}" for name in faulty],
        "retry": {"max_attempts": 1},
        "deactivation": {"retry_limit": 100},
    }
    daemon.write(config)
    assert daemon.ask("POST", "/mesh/v1/reload")["ok"]
    with pytest.raises(AllProvidersExhaustedError) as caught:
        ask(client, "all")
    attempts = caught.value.attempts
    assert [attempt["model"] for attempt in attempts] == [f"m-{name}" for name in faulty]
    assert attempts[0]["status"] == 500
    assert all(attempt["duration"] >= 0 for attempt in attempts)
