"""Which settings of sinks are refused, and where sinks keep what they have not delivered."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from meshd.compilation.before_start.sinks import objections_to
from meshd.config import MeshConfig
from meshd.sdk.observability import Entry
from meshd.telemetry.sinks import Sinks
from tests.support.telemetry.receiver import Receiver
from tests.support.waiting import until


def objections(**sections: Any) -> list[str]:
    return list(map(str, objections_to(MeshConfig.from_dict({"observability": sections}, environ={}).observability)))


@pytest.mark.parametrize("part", ["routing", "logging"])
def test_a_sink_of_metrics_takes_nothing_else(part: str, tmp_path: Path) -> None:
    sink = {"connector": "modelmesh.prometheus.v1", "path": str(tmp_path / "m.prom")}
    why = "takes only metrics, so it belongs in observability.statistics"
    assert objections(**{part: sink}) == [f"observability.{part}.connector: modelmesh.prometheus.v1 {why}"]
    assert objections(statistics=sink) == []
    assert objections(**{part: "opentelemetry.otlp.v1"}) == []


def test_settings_that_are_missing_together_are_said() -> None:
    (said,) = objections(statistics="modelmesh.prometheus.v1")
    assert said == "observability.statistics.connector: modelmesh.prometheus.v1 expected either `path` or `port`"


def problems(sink: dict[str, str]) -> list[str]:
    """Of a sink of statistics, as `meshctl config validate` reports them."""
    config = MeshConfig.from_dict({"observability": {"statistics": sink}}, environ={"HOST": "h", "PORT": "1"})
    return [text for text in map(str, config.validate()) if "observability" in text]


@pytest.mark.parametrize(
    ("connector", "settings", "said"),
    [
        (
            "webhook",
            {"url": "http://h", "secret": "whsec_!!"},
            "secret: begins with whsec_, but base64 does not follow",
        ),
        ("webhook", {"url": "http://h", "secret": "old whsec_"}, "secret: begins with whsec_, but base64"),
        ("webhook", {"url": "http://h", "path": "FILE"}, "path: is a file, not a directory"),
        ("syslog", {"address": "udp://x:99999"}, "address: expected the path of a UNIX socket, or udp://, tcp:// or"),
        ("syslog", {"address": "udp://h:abc"}, "address: expected the path of a UNIX socket"),
        ("syslog", {"address": "udp://h:0"}, "address: expected the path of a UNIX socket"),
        ("syslog", {"address": "http://h"}, "address: expected the path of a UNIX socket"),
        ("syslog", {"address": "/" + "x" * 107}, "address: is too long: the path of a socket has at most 107 bytes"),
        ("syslog", {"app_name": "a b"}, "app_name: expected 1 to 48 ASCII characters without spaces"),
        ("callback", {"function": "f"}, "function: expected a module, a colon and the name of a function in it"),
        ("file", {"path": "FOLDER"}, "path: is a directory, not a file"),
        ("prometheus", {"path": "FOLDER"}, "path: is a directory, not a file"),
    ],
)
def test_what_could_only_fail_later_is_refused(
    connector: str, settings: dict[str, str], said: str, tmp_path: Path
) -> None:
    (tmp_path / "FILE").touch()
    (tmp_path / "FOLDER").mkdir()
    given = {key: str(tmp_path / value) if value.isupper() else value for key, value in settings.items()}
    sink = {"connector": f"modelmesh.{connector}.v1", **given}
    (problem,) = problems(sink)
    assert f"observability.statistics.{said}" in problem
    assert "^" not in problem


@pytest.mark.parametrize(
    "settings",
    [
        {"address": "udp://[::1]:514"},
        {"address": "tls://h"},
        {"address": "/dev/log"},
        {"address": "tcp://${env:HOST}:${env:PORT}"},
    ],
)
def test_other_addresses_are_fine(settings: dict[str, str]) -> None:
    sink = {"connector": "modelmesh.syslog.v1", **settings}
    assert problems(sink) == []


def test_two_sections_may_post_to_one_address_but_not_from_one_folder(tmp_path: Path) -> None:
    receiver = Receiver()
    sink = {"connector": "modelmesh.webhook.v1", "url": receiver.url, "batch_interval": 0.01}
    parts: dict[str, Any] = {"routing": sink, "logging": {**sink, "secret": "other"}}
    assert objections(**parts) == []
    sinks = Sinks()
    sinks.configure(MeshConfig.from_dict({"observability": parts}, environ={}).observability, "debug", tmp_path)
    try:
        sinks.put(Entry("event", 1, "info", "an event", {}))
        sinks.put(Entry("log", 1, "info", "a line", {}))
        until(lambda: sorted(receiver.entries()) == ["a line", "an event"])
        assert [each["error"] for each in sinks.status()] == ["", ""]
    finally:
        sinks.close(5.0)
        receiver.stop()
    same = {name: {**each, "path": str(tmp_path / "s")} for name, each in parts.items()}
    (said,) = objections(**same)
    assert said.startswith("observability.logging.connector: modelmesh.webhook.v1 uses the folder of another")
    assert objections(routing=same["routing"], logging=same["routing"]) == []


def test_what_waits_in_a_webhooks_folder_of_the_earlier_name_is_delivered(tmp_path: Path) -> None:
    receiver = Receiver()
    url = receiver.url
    earlier = tmp_path / f"webhook-{hashlib.sha256(url.encode()).hexdigest()[:12]}"
    earlier.mkdir(0o700)
    (earlier / "0000000000000001-aa.batch").write_text('{"message": "waits"}\n')
    sinks = Sinks()
    parts = {"routing": {"connector": "modelmesh.webhook.v1", "url": url}}
    sinks.configure(MeshConfig.from_dict({"observability": parts}, environ={}).observability, "debug", tmp_path)
    try:
        until(lambda: receiver.entries() == ["waits"])
        assert not earlier.exists()
    finally:
        sinks.close(5.0)
        receiver.stop()


def test_two_sinks_of_a_kind_are_told_apart(tmp_path: Path) -> None:
    def names(**sections: Any) -> list[str]:
        sinks.configure(MeshConfig.from_dict({"observability": sections}, environ={}).observability, "info", tmp_path)
        return [each["sink"] for each in sinks.status()]

    def syslog(address: str, **settings: str) -> dict[str, str]:
        return {"connector": "modelmesh.syslog.v1", "address": address, **settings}

    sinks = Sinks()
    try:
        both: dict[str, Any] = {"routing": syslog("udp://h:514"), "logging": [syslog("/dev/log"), "modelmesh.null.v1"]}
        assert names(**both) == ["syslog h:514", "syslog /dev/log", "null"]
        assert names(**{**both, "logging": both["routing"]}) == ["syslog"]
        both["logging"] = syslog("udp://h:514", content="text")
        assert names(**both) == ["syslog h:514 (routing)", "syslog h:514 (logging)"]
        hidden = {"connector": "modelmesh.webhook.v1", "url": "http://u:pw@127.0.0.1:1?key=k"}
        other = {**hidden, "url": "http://127.0.0.1:2"}
        assert names(routing=hidden, logging=other) == ["webhook 127.0.0.1:1", "webhook 127.0.0.1:2"]
        files = {part: {"connector": "modelmesh.file.v1"} for part in both}
        assert names(**files) == [f"file {tmp_path}/routing.jsonl", f"file {tmp_path}/logging.jsonl"]
    finally:
        sinks.close(0.0)


@pytest.fixture
def functions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder from which callbacks take `of_an_operator`."""
    (tmp_path / "of_an_operator.py").write_text(
        "import pathlib\n"
        "with (pathlib.Path(__file__).parent / 'loads').open('a') as loads:\n    loads.write('x')\n"
        "def keep(entry):\n    raise AssertionError\n"
        "nothing = 1\n"
    )
    (tmp_path / "of_a_novice.py").write_text("import no_such_package\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("function", "why"),
    [
        ("no_such_module:f", "No module named 'no_such_module'"),
        ("of_an_operator.no_such:f", "No module named 'of_an_operator.no_such'"),
        ("of_an_operator:no_such", "no attribute 'no_such'"),
        ("of_an_operator:nothing", "of_an_operator:nothing is not a function"),
        ("of_a_novice:f", "No module named 'no_such_package'"),
    ],
)
@pytest.mark.usefixtures("functions")
def test_a_function_that_cannot_be_called_is_refused(function: str, why: str) -> None:
    (said,) = objections(routing={"connector": "modelmesh.callback.v1", "function": function})
    assert said.startswith(f"observability.routing.connector: modelmesh.callback.v1 cannot call {function}: ")
    assert why in said


def test_a_function_is_loaded_once_and_not_called(functions: Path) -> None:
    sink = {"connector": "modelmesh.callback.v1", "function": "of_an_operator:keep"}
    assert objections(routing=sink, logging=sink) == []
    assert (functions / "loads").read_text() == "x"


@pytest.mark.parametrize(
    ("connector", "settings"),
    [
        ("modelmesh.webhook.v1", {"url": "https://h"}),
        ("modelmesh.syslog.v1", {"address": "tls://h"}),
        ("opentelemetry.otlp.v1", {}),
    ],
)
def test_certificates_that_cannot_be_read_are_refused(connector: str, settings: dict[str, str], tmp_path: Path) -> None:
    missing, empty = tmp_path / "missing.pem", tmp_path / "empty.pem"
    empty.touch()
    for file, why in ((missing, "cannot be read: No such file or directory"), (empty, "holds no certificates")):
        (said,) = objections(logging={"connector": connector, **settings, "ca_file": str(file)})
        assert f"{connector} ca_file: {file} {why}" in said
    # A key of a section belongs to those of its connectors that know it.
    assert objections(logging={"connector": "modelmesh.file.v1", "ca_file": str(missing)}) == []


def test_a_spacy_model_that_is_not_installed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meshd.compilation.before_start.sinks.find_spec", lambda package: package)
    for model in ("no_such_model", "./no/such", str(tmp_path / "none")):
        (said,) = objections(logging={"presidio_model": model})
        assert said == f"observability.logging.presidio_model: the spaCy model {model} is not installed"
    assert objections(logging={"presidio_model": str(tmp_path)}) == []


def test_a_path_of_a_user_that_does_not_exist_ends_no_check() -> None:
    for sink in ({"connector": "modelmesh.file.v1"}, {"connector": "modelmesh.webhook.v1", "url": "http://h"}):
        MeshConfig.from_dict(
            {"observability": {"logging": {"connector": [sink | {"path": "~no-such-user/x"}]}}}, environ={}
        )
