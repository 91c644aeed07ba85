"""What a model does not declare: asked after what others declare, refused once, and remembered, by a real daemon."""

from __future__ import annotations

import pytest

import modelmesh
from tests.support.daemons.pool_rule_cases import Cases, explain

TOOLS = [{"type": "function", "function": {"name": "now", "parameters": {"type": "object", "properties": {}}}}]
PIXEL = {"type": "image_url", "image_url": {"url": "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA="}}
OLLAMA = {"error": 400, "message": "registry.ollama.ai/library/gemma3:4b does not support tools", "type": "api_error"}
LLAMA = {"error": 500, "message": "tools param requires --jinja flag", "type": "server_error"}
OPENROUTER = {"error": 404, "message": "No endpoints found that support tool use."}
SLIP = {"error": 400, "message": "Failed to call a function. See 'failed_generation'.", "code": "tool_use_failed"}


@pytest.fixture(scope="module")
def daemon(module_meshd, server):
    cases = Cases(server)
    for name, refusal in {"ollama": OLLAMA, "llama": LLAMA, "router": OPENROUTER, "slip": SLIP}.items():
        cases.case(name, refusal)  # NAME-a comes first, NAME-b always answers
    cases.model("silent", {"reply": "x"})
    cases.model("says", features={"tool_calling": True, "vision": True})
    cases.model("denies", features={"tool_calling": False})
    for strategy in ("stick-until-failure", "priority-selection", "round-robin", "latency-first", "cost-first"):
        cases.pool(strategy, "denies", "silent", "says", strategy=strategy)
    cases.pool("only-denies", "denies")
    cases.model("no-tools", OLLAMA)
    cases.model("no-tools-either", LLAMA)
    cases.pool("only", "no-tools")
    cases.pool("both", "no-tools-either", "no-tools")
    cases.play()
    return module_meshd(cases.config)


def attempts(answer):
    return [attempt.model for attempt in answer.mesh.attempts]


@pytest.mark.parametrize("name", ["ollama", "llama", "router"])
def test_a_refusing_model_is_asked_once_and_the_next_request_goes_to_another(daemon, name):
    first, second = f"{name}-a", f"{name}-b"
    assert attempts(daemon.say(model=name, tools=TOOLS)) == [first, second]
    assert attempts(daemon.say(model=name, tools=TOOLS)) == [second]
    [stage] = (each for each in explain(daemon, name, tools=TOOLS)["stages"] if each["name"] == "features")
    remarks = {row["model"]: row["reason"] for row in stage["remarks"]}
    assert remarks[first].startswith("recently refused tools (")
    assert remarks[first].endswith("ago); asked last")
    assert daemon.ask("GET", f"/mesh/v1/pools/{name}")["models"][0]["status"] == "active", "nothing is wrong with it"
    daemon.ask("POST", "/mesh/v1/models/activate", {"id": first})
    assert attempts(daemon.say(model=name, tools=TOOLS)) == [first, second], "an operator says that it works"


def test_a_models_own_slip_is_asked_of_another_and_not_remembered(daemon):
    for _ in range(2):
        assert attempts(daemon.say(model="slip", tools=TOOLS)) == ["slip-a", "slip-b"]


@pytest.mark.parametrize(
    "pool", ["stick-until-failure", "priority-selection", "round-robin", "latency-first", "cost-first"]
)
def test_declaring_models_come_first_by_every_strategy(daemon, pool):
    for _ in range(4):
        assert attempts(daemon.say(model=pool, tools=TOOLS)) == ["says"]
    image = [{"role": "user", "content": [PIXEL]}]
    assert daemon.client().chat.completions.create(model=pool, messages=image).mesh.model == "says"


def test_the_only_one_is_asked_every_time_and_its_own_words_reach_the_app(daemon):
    for _ in range(2):
        with pytest.raises(modelmesh.InvalidRequestError) as caught:
            daemon.say(model="only", tools=TOOLS)
        assert caught.value.status_code == 400
        assert caught.value.message == OLLAMA["message"]
        assert caught.value.type == "api_error"


def test_where_all_refuse_the_app_gets_the_last_refusal(daemon):
    for _ in range(2):
        with pytest.raises(modelmesh.InvalidRequestError) as caught:
            daemon.say(model="both", tools=TOOLS)
        assert caught.value.status_code == 400
        assert caught.value.message in (OLLAMA["message"], LLAMA["message"])
        assert len(caught.value.attempts) == 2
    streamed = daemon.client().chat.completions
    with pytest.raises(modelmesh.InvalidRequestError):
        list(streamed.create(model="both", messages=[{"role": "user", "content": "hi"}], tools=TOOLS, stream=True))


def test_only_a_declared_false_is_never_sent(daemon, server):
    before = server.served["served"]
    with pytest.raises(modelmesh.InvalidRequestError) as caught:
        daemon.say(model="only-denies", tools=TOOLS)
    assert (caught.value.status_code, caught.value.code) == (400, "model_cannot")
    assert caught.value.could[0] == "says"
    assert server.served["served"] == before
    assert daemon.say(model="only-denies").mesh.model == "denies"


def test_it_outlives_a_restart_and_ends_with_another_declaration(meshd, upstream, eventually):
    cases = Cases(upstream())
    cases.case("chat", OLLAMA)
    cases.play()
    daemon = meshd(cases.config)
    assert attempts(daemon.say(model="chat", tools=TOOLS)) == ["chat-a", "chat-b"]
    daemon.stop()
    daemon.start()
    assert attempts(daemon.say(model="chat", tools=TOOLS)) == ["chat-b"]
    cases.config["models"]["chat-a"]["features"] = {"tool_calling": True}
    daemon.write(cases.config)
    eventually(lambda: explain(daemon, "chat", tools=TOOLS)["order"] == ["chat-a", "chat-b"])
    assert attempts(daemon.say(model="chat", tools=TOOLS)) == ["chat-a", "chat-b"]
