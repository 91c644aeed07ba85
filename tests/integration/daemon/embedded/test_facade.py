"""ModelMesh embedded: the same mesh, with no process of its own."""

from __future__ import annotations

import json
import os
import threading

import pytest

import modelmesh
from meshd.config import MeshConfig
from meshd.mesh import ModelMesh
from meshd.messages import Listen
from modelmesh import ConfigurationError, MeshError, NotFoundError
from tests.support.daemons.embedded import HELLO, MEMORY, hello

pytestmark = pytest.mark.usefixtures("own_state")


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
def test_what_is_not_a_configuration_is_reported_as_such(nothing_left, given):
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


def test_a_state_directory_in_use_says_who_uses_it(two, short):
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
