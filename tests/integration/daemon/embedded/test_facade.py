"""ModelMesh embedded: the same mesh, with no process of its own."""

from __future__ import annotations

import json
import os
import threading
import time

import pykka
import pytest

import modelmesh
from meshd.actors.prepare import Prepare
from meshd.config import MeshConfig
from meshd.mesh import ModelMesh
from meshd.messages import Listen
from modelmesh import ConfigurationError, MeshError, NotFoundError

pytestmark = pytest.mark.usefixtures("own_state")


@pytest.fixture
def nothing_left(eventually):
    """No thread, actor or descriptor more than before, at the end of the test."""
    import uvloop
    import zmq

    # What libzmq and libuv keep for the process is there from now on.
    zmq.Context.instance().socket(zmq.PAIR).close()
    uvloop.new_event_loop().close()
    before = threads()

    yield

    eventually(lambda: threads() <= before, what=f"threads end: {threads() - before}")
    assert [ref for ref in pykka.ActorRegistry.get_all() if ref.is_alive()] == []


def threads():
    return {thread.name for thread in threading.enumerate() if thread.name.startswith("meshd")}


def hello(mesh, model="chat"):
    with mesh.get_client(timeout=10, max_retries=0) as client:
        return client.chat.completions.create(model=model, messages=[{"role": "user", "content": "hello"}])


@pytest.fixture
def file(short, two):
    path = short / "mesh.json"
    path.write_text(json.dumps({**two(), "daemon": {"watch_debounce": "20ms"}}))
    return path


@pytest.fixture
def mesh(file, nothing_left):
    with ModelMesh.from_yaml(file) as mesh:
        yield mesh


def test_from_a_file_as_a_context_manager(mesh, file, two, eventually):
    assert hello(mesh).choices[0].message.content == "first"
    assert mesh.healthy()
    file.write_text(json.dumps(two(first=[{"reply": "changed"}])))
    eventually(lambda: hello(mesh).choices[0].message.content == "changed")


def test_a_request_in_flight_is_counted_by_the_embedded_status(two, nothing_left):
    with ModelMesh() as mesh:
        mesh.initialize(MeshConfig.from_dict(two([{"reply": "word " * 50, "chunk_delay": 0.2}])))
        assert mesh.command("GET", "/mesh/v1/status")["in_flight"] == 0
        with mesh.get_client(timeout=30, max_retries=0) as client:
            stream = client.chat.completions.create(
                model="chat", messages=[{"role": "user", "content": "hello"}], stream=True
            )
            with stream:
                next(iter(stream))
                assert mesh.command("GET", "/mesh/v1/status")["in_flight"] == 1


def test_nothing_is_left_after_shutdown_and_it_is_idempotent(file, nothing_left, short, eventually):
    mesh = ModelMesh.from_yaml(file, sockets=[Listen(f"ipc://{short}/s")])
    address = mesh.address
    assert (short / "s").exists()
    mesh.shutdown()
    mesh.shutdown()
    assert not mesh.healthy()
    eventually(lambda: not (short / "s").exists())
    with modelmesh.OpenAIClient(address, timeout=0.3, max_retries=0) as client, pytest.raises(MeshError):
        client.models.list()


def test_a_mesh_may_be_started_again_after_shutdown(two, nothing_left):
    mesh = ModelMesh()
    for _ in range(2):
        mesh.initialize(MeshConfig.from_dict(two()))
        assert hello(mesh).choices[0].message.content == "first"
        with pytest.raises(MeshError, match="already running"):
            mesh.initialize(MeshConfig.from_dict(two()))
        mesh.shutdown()


def test_several_meshes_in_one_process(two, nothing_left):
    with ModelMesh() as one, ModelMesh() as other:
        one.initialize(MeshConfig.from_dict(two()))
        other.initialize(
            MeshConfig.from_dict({**two([{"reply": "other"}]), "daemon": {"state_dir": "/nowhere/at/all"}})
        )
        assert hello(one).choices[0].message.content == "first"
        assert hello(other).choices[0].message.content == "other"


def test_from_a_storage(two, short, nothing_left):
    with ModelMesh() as mesh:
        mesh.initialize(MeshConfig.from_dict(two()))
        mesh.save_config("modelmesh.local-file.v1", directory=str(short / "store"))
    with ModelMesh.from_storage("modelmesh.local-file.v1", directory=str(short / "store")) as mesh:
        assert hello(mesh).choices[0].message.content == "first"
    with pytest.raises(ConfigurationError, match=r"other\.yaml"):
        ModelMesh.from_storage("modelmesh.local-file.v1", key="other.yaml", directory=str(short / "store"))


# -- as programs use it -------------------------------------------------------------------------------------

MEMORY = {"storage": {"connector": "modelmesh.memory.v1"}}
BEFORE = {
    "a client": lambda mesh: mesh.get_client(),
    "the router": lambda mesh: mesh.get_router().route("chat"),
    "statistics": lambda mesh: mesh.stats().model("x"),
    "the configuration": lambda mesh: mesh.config,
    "a reload": lambda mesh: mesh.reload_config({}),
    "the state": lambda mesh: mesh.export_state(),
    "one more provider": lambda mesh: mesh.add_provider("x", connector="modelmesh.scripted.v1"),
}


@pytest.mark.parametrize("ask", BEFORE.values(), ids=BEFORE)
@pytest.mark.parametrize("ended", [False, True], ids=["before", "after"])
def test_what_needs_a_running_mesh_says_so_at_once(two, nothing_left, ask, ended):
    mesh = ModelMesh()
    mesh.shutdown()
    if ended:
        mesh.initialize({**two(), **MEMORY})
        mesh.shutdown()
    with pytest.raises(MeshError, match=r"not running: call initialize\(\) first"):
        ask(mesh)


FORMS = {
    "an object": lambda raw, folder: MeshConfig.from_dict(raw),
    "a mapping": lambda raw, folder: raw,
    "a name": lambda raw, folder: str(_written(raw, folder)),
    "a path": lambda raw, folder: _written(raw, folder),
    "a relative name": lambda raw, folder: os.path.relpath(_written(raw, folder)),
}


def _written(raw, folder):
    path = folder / "mesh.yaml"
    path.write_text(json.dumps(raw))
    return path


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_configuration_in_any_form(two, short, nothing_left, form):
    given = form({**two(), **MEMORY}, short)
    with ModelMesh() as mesh:
        mesh.initialize(given)
        assert hello(mesh).choices[0].message.content == "first"
    with modelmesh.create("chat", config=given) as client:
        answer = client.chat.completions.create(messages=[{"role": "user", "content": "hello"}])
        assert answer.choices[0].message.content == "first"


@pytest.mark.parametrize("given", [1, [1], b"mesh.yaml", "providers:\n  a: {}\n", '{"providers": {}}'])
def test_what_is_no_configuration_is_told_as_that(nothing_left, given):
    for use in (lambda: ModelMesh().initialize(given), lambda: modelmesh.create(config=given)):
        with pytest.raises(ConfigurationError, match="a MeshConfig, a mapping or a file's path, not as"):
            use()


def test_meshes_without_a_place_run_beside_each_other_and_a_daemon(two, meshd, short, monkeypatch):
    """`state_dir` may be left out."""
    daemon = meshd({**two([{"reply": "daemon"}]), "daemon": {"state_dir": str(short / "state-home" / "meshd")}})
    assert daemon.say(model="chat").choices[0].message.content == "daemon"
    with (
        modelmesh.create("chat", config=two([{"reply": "one"}])) as one,
        modelmesh.create("chat", config={**two([{"reply": "other"}]), **MEMORY}) as other,
    ):
        for client, text in ((one, "one"), (other, "other"), (one, "one")):
            answer = client.chat.completions.create(messages=[{"role": "user", "content": "hello"}])
            assert answer.choices[0].message.content == text


def test_a_state_directory_in_use_says_by_whom(two, short):
    config = {**two(), "daemon": {"state_dir": str(short / "shared")}}
    with ModelMesh() as first:
        first.initialize(config)
        with pytest.raises(ConfigurationError, match="another mesh of this process: shut it down"):
            ModelMesh().initialize(config)
        assert hello(first)


def test_a_client_of_a_mesh_that_was_shut_down_hears_it_at_once(two, nothing_left):
    """Whether it has asked anything before or not; and another mesh is never taken for the first."""
    clients = []
    for asks in (True, False):
        mesh = ModelMesh()
        mesh.initialize({**two(), **MEMORY})
        clients.append(mesh.get_client(timeout=600))
        if asks:
            clients[-1].models.list()
        mesh.shutdown()
        del mesh
    with ModelMesh() as mesh:
        mesh.initialize({**two(), **MEMORY})
        assert hello(mesh)
        for client in clients:
            with pytest.raises(MeshError, match="inside this process does not answer: it was shut down"):
                client.models.list()
            client.close()


def test_an_embedded_mesh_ends_with_its_last_client(two, nothing_left, eventually):
    import gc

    client = modelmesh.create("chat", config=two()).with_options(timeout=9)
    gc.collect()
    assert client.chat.completions.create(messages=[{"role": "user", "content": "hello"}])
    del client
    gc.collect()


async def test_a_mesh_inside_a_running_loop(two, nothing_left):
    with ModelMesh() as mesh:
        mesh.initialize({**two(), **MEMORY})
        async with modelmesh.AsyncOpenAIClient(mesh.address, timeout=10) as client:
            messages = [{"role": "user", "content": "hello"}]
            answer = await client.chat.completions.create(model="chat", messages=messages)
            assert answer.choices[0].message.content == "first"
            stream = await client.chat.completions.create(model="chat", messages=messages, stream=True)
            assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream]) == "first"


def test_the_sdk_over_an_embedded_mesh(two, nothing_left):
    pytest.importorskip("openai")
    with ModelMesh() as mesh:
        mesh.initialize({**two(), **MEMORY})
        with modelmesh.openai_client(socket=mesh.address, timeout=10) as client:
            answer = client.chat.completions.create(model="chat", messages=[{"role": "user", "content": "hello"}])
            assert answer.choices[0].message.content == "first"


def test_initialize_that_failed_may_be_tried_again(two, nothing_left):
    mesh = ModelMesh()
    with pytest.raises(ConfigurationError):
        mesh.initialize({"providers": {"p": {"connector": "nope"}}})
    mesh.initialize({**two(), **MEMORY})
    assert hello(mesh)
    mesh.shutdown()


def test_meshes_of_several_threads(two, nothing_left):
    answers, failures = [], []

    def work():
        try:
            with ModelMesh() as mesh:
                mesh.initialize({**two(), **MEMORY})
                answers.append(hello(mesh).choices[0].message.content)
        except Exception as error:
            failures.append(error)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(40)
    assert (answers, failures) == (["first"] * 4, [])


def asks(client):
    return client.chat.completions.create(messages=[{"role": "user", "content": "hello"}]).choices[0].message.content


@pytest.mark.parametrize(
    ("capabilities", "refinements"),
    [
        ((["chat"],), {}),
        (("chat",), {"models": "first.chat"}),
        (("chat",), {"models": ["first.chat"], "providers": ("first",)}),
        ((), {"pool": "chat", "strategy": "round-robin"}),
    ],
)
def test_one_name_or_several(two, nothing_left, capabilities, refinements):
    config = {**two(), **MEMORY}
    if "models" in refinements:
        config["pools"] = {"chat": {"capability": "chat-completion"}}
    with modelmesh.create(*capabilities, config=config, **refinements) as client:
        assert asks(client) == "first"


def test_an_option_that_is_none_leaves_nothing(two, nothing_left):
    with pytest.raises(TypeError, match="tmeout"):
        modelmesh.create("chat", config=two(), tmeout=3)


def test_a_forked_process_hears_at_once_that_its_mesh_is_elsewhere(two, nothing_left):
    with ModelMesh() as mesh:
        mesh.initialize({**two(), **MEMORY})
        used, unused = mesh.get_client(timeout=600), mesh.get_client(timeout=600)
        assert used.models.list()
        pid = os.fork()
        if pid == 0:
            import signal

            signal.alarm(15)
            for client in (used, unused):
                try:
                    client.models.list()
                    os._exit(1)
                except MeshError as error:
                    if "the process that this one was forked from" not in str(error):
                        os._exit(2)
            os._exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
        assert used.models.list()
        used.close()
        unused.close()


def test_what_is_not_there_is_said_by_name(mesh, short):
    with pytest.raises(NotFoundError, match="'nothing'"):
        mesh.get_registry().unregister("nothing")
    with pytest.raises(ValueError, match="parallel"):
        mesh.get_router().batch("chat", [HELLO], parallel=0)
    with pytest.raises(FileNotFoundError, match=r"there is no directory .*absent"):
        mesh.save_config(path=short / "absent" / "mesh.yaml")


@pytest.mark.parametrize("section", ["routing", "logging", "statistics"])
def test_unknown_keys_of_observability_are_refused(two, section):
    (problem,) = MeshConfig.from_dict({**two(), "observability": {section: {"colour": 1}}}).validate()
    assert (problem.path, problem.message) == (f"observability.{section}.colour", "unknown key")


def test_a_disabled_provider_of_a_kind_that_is_not_built_yet(two, nothing_left):
    config = two()
    config["providers"]["later"] = {"connector": "aws.bedrock.v1", "enabled": False, "region": "eu-central-1"}
    config["providers"]["anthropic.claude.v1"] = {"enabled": False}
    with modelmesh.create("chat", config=config) as client:
        assert client.chat.completions.create(messages=[{"role": "user", "content": "hello"}])


def test_capabilities_that_nothing_can_be_asked_for_make_no_pool(two, nothing_left):
    config = {**two(), **MEMORY}
    del config["pools"]
    config["models"]["first.chat"]["capabilities"] += ["text-to-speech", "reranking", "web-search"]
    with ModelMesh() as mesh:
        mesh.initialize(config)
        pools = mesh.get_router().list_pools()
    assert "chat-completion" in pools
    assert not {"text-to-speech", "reranking", "web-search"} & set(pools)


# -- configuration ----------------------------------------------------------------------------------------


def test_reload_says_what_changed(mesh, two):
    report = mesh.reload_config(MeshConfig.from_dict(two([{"reply": "changed"}])))
    assert report.ok
    assert any("providers.first" in change for change in report.changes)
    assert hello(mesh).choices[0].message.content == "changed"
    report = mesh.reload_config()
    assert any("providers.first" in change for change in report.changes)
    assert hello(mesh).choices[0].message.content == "first"


def test_a_refused_reload_raises_with_every_problem_and_changes_nothing(mesh):
    with pytest.raises(ConfigurationError) as caught:
        mesh.reload_config(
            MeshConfig.from_dict({"providers": {"a": {"enabled": "x"}}, "pools": {"b": {"strategy": "x"}}})
        )
    paths = {problem["path"] for problem in caught.value.problems}
    assert {"providers.a", "pools.b.strategy"} <= paths
    assert hello(mesh).choices[0].message.content == "first"


def test_add_provider_register_and_unregister(mesh):
    mesh.add_provider("third", connector="modelmesh.scripted.v1", script=[{"reply": "third"}])
    model = mesh.get_registry().register("third.chat", provider="third", capabilities=["classification"])
    assert model.get_capabilities() == ["understanding.text-understanding.classification"]
    assert hello(mesh, "third.chat").choices[0].message.content == "third"
    mesh.get_registry().unregister("third.chat")
    with pytest.raises(NotFoundError):
        mesh.get_registry().get_model("third.chat")


def test_save_config_to_files_that_can_be_read_again(mesh, short):
    for ending in ("yaml", "toml", "json"):
        mesh.save_config(path=short / f"saved.{ending}")
        assert MeshConfig.from_file(short / f"saved.{ending}").raw == mesh.config.raw
    with pytest.raises(ValueError, match="path"):
        mesh.save_config()


# -- the router -------------------------------------------------------------------------------------------

HELLO = {"messages": [{"role": "user", "content": "hello"}]}


def test_deciding_asks_nobody(mesh):
    router = mesh.get_router()
    decision = router.route("chat", HELLO)
    assert (decision.model, decision.pool) == ("first.chat", "chat")
    assert decision.order == ("first.chat", "second.chat")
    explained = router.explain({"model": "chat", **HELLO})
    assert explained.chosen == "first.chat"
    assert [stage["name"] for stage in explained.stages]
    assert mesh.get_registry().get_model("first.chat").get_state()["requests"] == 0


def test_complete_stream_and_batch(mesh):
    router = mesh.get_router()
    assert router.complete("chat", HELLO).choices[0].message.content == "first"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in router.stream("chat", HELLO)) == "first"
    answers = router.batch("chat", [HELLO, {"messages": "no"}, HELLO], parallel=2)
    assert answers[0].choices[0].message.content == "first"
    assert answers[2].choices[0].message.content == "first"
    missing = router.batch("nothing", [HELLO])
    assert isinstance(missing[0], NotFoundError)


def test_leaving_a_stream_of_the_router_early(mesh):
    stream = mesh.get_router().stream("chat", HELLO)
    next(stream)
    stream.close()
    assert hello(mesh)


def test_pools(mesh):
    router = mesh.get_router()
    assert "chat" in router.list_pools()
    pool = router.get_pool("chat")
    assert pool.capability == "generation.text-generation.chat-completion"
    assert pool.strategy == "modelmesh.stick-until-failure.v1"
    assert pool.get_active_models() == ["first.chat", "second.chat"]
    assert pool.select() == "first.chat"
    pool.deactivate("first.chat", "tired")
    assert pool.get_standby_models() == {"first.chat": "deactivated by hand: tired"}
    assert pool.select() == "second.chat"
    pool.recover("first.chat")
    assert pool.get_standby_models() == {}
    hello(mesh)
    assert router.rotate("chat") == "second.chat"
    assert hello(mesh).mesh.model == "second.chat"
    pool.remove_model("second.chat")
    assert pool.get_active_models() == ["first.chat"]
    with pytest.raises(NotFoundError):
        router.get_pool("nothing")


def test_registry_models_and_providers(mesh):
    registry = mesh.get_registry()
    assert {model.id for model in registry.list_models()} == {"first.chat", "second.chat"}
    assert [model.id for model in registry.find_by_provider("second")] == ["second.chat"]
    assert {model.id for model in registry.find_by_capability("generation")} == {"first.chat", "second.chat"}
    assert registry.find_by_capability("embeddings") == []
    model = registry.get_model("first.chat")
    assert model.get_delivery_modes() == ["synchronous", "streaming"]
    assert set(model.get_constraints()) == {"context_window", "max_output_tokens", "max_images"}
    model.reset_state()
    assert registry.refresh()
    with pytest.raises(NotFoundError):
        registry.get_model("nothing")


def test_a_provider_is_asked_by_itself(mesh):
    provider = mesh.get_registry().get_provider("second")
    assert provider.is_available()
    assert provider.get_health()["auth_valid"]
    assert [model.id for model in provider.get_models()] == ["second.chat"]
    reply = provider.execute("second.chat", HELLO)
    assert (reply.choices[0].message.content, reply.mesh.provider) == ("second", "second")
    with pytest.raises(NotFoundError):
        provider.execute("first.chat", HELLO)
    with pytest.raises(NotFoundError):
        mesh.get_registry().get_provider("nothing")


def test_stats(mesh, eventually):
    hello(mesh)
    stats = mesh.stats()
    row = eventually(lambda: stats.model("first.chat"))
    assert (row["requests_total"], row["requests_failed"]) == (1, 0)
    assert stats.pool("chat")["requests_total"] == 1
    assert stats.provider("first")["requests_total"] == 1
    assert stats.model("second.chat") is None


def test_state_is_exported_and_imported(file, nothing_left, short):
    with ModelMesh.from_yaml(file, state_dir=short / "one") as mesh:
        hello(mesh)
        mesh.get_router().get_pool("chat").deactivate("first.chat", "kept")
        exported = json.loads(json.dumps(mesh.export_state()))
    with ModelMesh.from_yaml(file, state_dir=short / "two") as mesh:
        assert mesh.get_router().get_pool("chat").get_standby_models() == {}
        mesh.import_state(exported)
        assert "kept" in mesh.get_router().get_pool("chat").get_standby_models()["first.chat"]
        assert mesh.get_registry().get_model("first.chat").get_state()["requests"] == 1
        began = time.monotonic()
        with pytest.raises(NotFoundError):
            mesh.get_client().chat.completions.create(model="nothing", messages=HELLO["messages"])
        assert time.monotonic() - began < 2, "lists of models are not waited for again"


def test_proxies_are_safe_from_many_threads(mesh):
    router, failures = mesh.get_router(), []

    def work():
        try:
            for _ in range(10):
                assert router.complete("chat", HELLO)
                assert router.route("chat", HELLO).model
        except BaseException as error:
            failures.append(error)

    workers = [threading.Thread(target=work) for _ in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    assert failures == []


# -- a boot that fails --------------------------------------------------------------------------------------


def test_an_invalid_configuration_leaves_nothing(nothing_left, short):
    with pytest.raises(ConfigurationError) as caught:
        ModelMesh(state_dir=short / "state").initialize(MeshConfig.from_dict({"providers": {"a": {"colour": 1}}}))
    assert caught.value.problems[0]["path"] == "providers.a"
    assert not (short / "state").exists()


def test_a_missing_secret_leaves_nothing(nothing_left, short):
    config = {"providers": {"openai": {"connector": "openai.llm.v1", "api_key": "${secrets:NO_SUCH_KEY}"}}}
    config["secrets"] = {"fail_on_missing": True}
    with pytest.raises(ConfigurationError, match="NO_SUCH_KEY"):
        ModelMesh(state_dir=short / "state").initialize(MeshConfig.from_dict(config))


def test_a_socket_that_cannot_be_bound_leaves_nothing(file, nothing_left, short, eventually):
    mesh = ModelMesh(sockets=[Listen(f"ipc://{short}/ok"), Listen(f"ipc://{short}/no/such/dir/s")])
    with pytest.raises(Exception, match=r"."):
        mesh.start(_source(file))
    eventually(lambda: not (short / "ok").exists())
    assert not mesh.healthy()


@pytest.mark.parametrize("actor", ["telemetry", "secret", "state", "router", "config", "health", "discovery"])
def test_an_actor_that_cannot_be_made_leaves_nothing(file, nothing_left, short, actor, monkeypatch, eventually):
    import importlib

    module = importlib.import_module(f"meshd.actors.{actor}")
    name = next(name for name in vars(module) if name.lower() == f"{actor}actor")

    def broken(*arguments, **options):
        raise RuntimeError(f"no {actor}")

    monkeypatch.setattr(module, name, broken)
    if actor in ("router", "config"):
        monkeypatch.setattr(f"meshd.mesh.{name}", broken)
    descriptors = len(os.listdir("/proc/self/fd"))
    mesh = ModelMesh(sockets=[Listen(f"ipc://{short}/s")], state_dir=short / "state")
    with pytest.raises(RuntimeError, match=f"no {actor}"):
        mesh.start(_source(file))
    assert not (short / "s").exists()
    eventually(lambda: len(os.listdir("/proc/self/fd")) <= descriptors)


@pytest.mark.parametrize("actor", ["telemetry", "secret", "state", "router", "health", "discovery"])
def test_an_actor_that_objects_leaves_nothing(file, nothing_left, short, actor, monkeypatch):
    import importlib

    module = importlib.import_module(f"meshd.actors.{actor}")
    cls = next(value for name, value in vars(module).items() if name.lower() == f"{actor}actor")
    monkeypatch.setattr(cls, "prepare", lambda self, message: ("not with me",), raising=False)
    monkeypatch.setitem(cls.handlers, Prepare, "prepare")
    with pytest.raises(ConfigurationError, match=f"{actor}: not with me"):
        ModelMesh.from_yaml(file, state_dir=short / "state")


def _source(file):
    from meshd.config.source import ConfigSource

    return ConfigSource.of_file(file)
