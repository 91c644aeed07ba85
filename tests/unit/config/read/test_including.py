"""A configuration of several files: which counts, what is on top, and where what is wrong is said to be."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from meshd.config import MeshConfig
from meshd.config.read import including
from modelmesh.errors import ConfigurationError

ONE = "providers:\n  one: {connector: modelmesh.scripted.v1}\n"
POOL = "pools:\n  chat:\n    capability: chat-completion\n    strategy: cost-first\n"


class Folder:
    """Files below one folder, and what is read of them."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, **files: str) -> Folder:
        """`conf_d__10_a` is conf.d/10-a.yaml."""
        for name, text in files.items():
            path = self.root / (name.replace("conf_d", "conf.d").replace("__", "/").replace("_", "-") + ".yaml")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return self

    def read(self, **environ: str) -> MeshConfig:
        return MeshConfig.from_file(self.root / "mesh.yaml", environ=environ)

    def problems(self, **environ: str) -> list[str]:
        """Without the folder's name."""
        try:
            found = [str(problem) for problem in self.read(**environ).validate()]
        except ConfigurationError as error:
            found = str(error).splitlines()
        return [problem.replace(f"{self.root}/", "") for problem in found]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_what_a_file_includes_is_below_it_and_conf_d_on_top(folder: Folder) -> None:
    folder.write(
        mesh="include: [parts/*.yaml]\nx-mine: 1\n" + ONE + "daemon: {max_queue: 2, max_inflight: 2}\n",
        parts__a="daemon: {max_queue: 1, request_timeout: 1s, drain_timeout: 1s}\n",
        parts__b="daemon: {request_timeout: 2s}\n",
        conf_d__20_b="daemon: {max_inflight: 4}\n",
        conf_d__10_a="daemon: {max_inflight: 3}\n" + POOL,
    )
    config = folder.read()
    assert folder.problems() == []
    daemon = config.daemon
    assert (daemon.max_queue, daemon.max_inflight) == (2, 4)
    assert (daemon.request_timeout, daemon.drain_timeout) == (2.0, 1.0)
    assert config.pools["chat"].strategy == "modelmesh.cost-first.v1"
    assert "include" not in config.raw
    assert "x-mine" not in config.raw


def test_maps_are_merged_and_lists_replaced(folder: Folder) -> None:
    folder.write(
        mesh=ONE + "pools:\n  chat: {models: [one.a, one.b], retry: {max_attempts: 5, scope: any}}\n",
        conf_d__a="pools:\n  chat:\n    models: [one.c]\n    retry: {scope: same_model}\n  more: {models: [one.a]}\n",
        conf_d__b="providers:\n  one:\npools:\n  chat:\n    retry:\n",
    )
    pool = folder.read().pools["chat"]
    assert pool.models == ("one.c",)
    assert (pool.retry.max_attempts, pool.retry.scope) == (5, "same_model")
    assert folder.read().providers["one"].connector == "modelmesh.scripted.v1"


def test_a_nested_config_and_direct_keys_of_two_files_are_the_same(folder: Folder) -> None:
    folder.write(
        mesh="providers:\n  one:\n    config: {connector: modelmesh.scripted.v1, timeout: 5s}\n",
        conf_d__a="providers:\n  one: {timeout: 7s}\n",
    )
    assert folder.problems() == []
    assert folder.read().providers["one"].timeout == 7.0


def test_unquoted_values_keep_their_text_whichever_file_they_are_in(folder: Folder) -> None:
    folder.write(mesh=ONE + "aliases: {a: no}\n", conf_d__a="aliases: {a: 1.10}\ndaemon: {socket_mode: 0600}\n")
    config = folder.read()
    assert config.aliases == {"a": "1.10"}
    assert config.daemon.socket_mode == 0o600


@pytest.mark.parametrize(
    ("name", "read"), [("mesh.toml", True), ("mesh.json", True), ("other.yaml", False), ("mesh.local.yaml", False)]
)
def test_conf_d_belongs_to_files_named_mesh(folder: Folder, name: str, read: bool) -> None:
    folder.write(conf_d__a=ONE)
    main = folder.root / name
    main.write_text("{}" if name.endswith("json") else "")
    assert bool(MeshConfig.from_file(main, environ={}).providers) is read


def test_only_visible_configuration_files_count_in_conf_d(folder: Folder) -> None:
    folder.write(mesh=ONE)
    (folder.root / "conf.d" / "deeper.yaml").mkdir(parents=True)
    for name in (".hidden.yaml", "a.yaml~", "a.yaml.bak", "README"):
        (folder.root / "conf.d" / name).write_text("nonsense: true")
    assert folder.problems() == []


def test_a_file_counts_once(folder: Folder) -> None:
    folder.write(
        mesh="include: [a.yaml, b.yaml, a.yaml, '*.yaml']\n" + ONE,
        a="daemon: {max_queue: 1}\n",
        b="include: a.yaml\ndaemon: {max_queue: 2}\n",
    )
    assert folder.read().daemon.max_queue == 2


def test_problems_name_the_file_and_the_line(folder: Folder) -> None:
    folder.write(
        mesh="include: parts/*.yaml\n" + ONE + "pools:\n  chat:\n    capabilty: chat-completion\n",
        parts__a="\n\nmodels:\n  one.x: {provider: two}\n",
        conf_d__a="pools:\n  chat:\n    capability: chat-completion\n    strategy: fastest\n",
    )
    problems = folder.problems()
    assert any(problem.startswith("mesh.yaml:6: pools.chat.capabilty: unknown key") for problem in problems)
    assert any(problem.startswith("parts/a.yaml:4: models.one.x.provider: there is no") for problem in problems)
    assert any(problem.startswith("conf.d/a.yaml:4: pools.chat.strategy:") for problem in problems)
    assert problems[0].startswith("mesh.yaml:")


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({"mesh": "include: gone.yaml"}, "mesh.yaml:1: include: there is no file gone.yaml"),
        ({"mesh": "daemon: {}\ninclude:\n  - '*.toml'\n  - gone.yaml"}, "mesh.yaml:4: include[1]: there is no file"),
        ({"mesh": "include: parts", "parts__a": ""}, "mesh.yaml:1: include: parts is a directory: write parts/*.yaml"),
        ({"mesh": "include: mesh.yaml"}, "mesh.yaml:1: include: the files include each other: mesh.yaml → mesh.yaml"),
        (
            {"mesh": "include: a.yaml", "a": "include: b.yaml", "b": "\ninclude: ['[am]*.yaml']"},
            "b.yaml:2: include[0]: the files include each other: a.yaml → b.yaml → a.yaml",
        ),
        ({"mesh": "include: false"}, "mesh.yaml:1: include: expected the path of a file, or a pattern"),
        ({"mesh": "include: 5"}, "mesh.yaml:1: include: expected the path of a file, or a pattern"),
        ({"mesh": "include: ['${env:HOME}/a.yaml']"}, "mesh.yaml:1: include[0]: expected the path of a file"),
        ({"mesh": "include: a.yaml", "a": "a: [\n"}, "a.yaml:2: is not valid YAML"),
        ({"mesh": "", "conf_d__a": "[]"}, "conf.d/a.yaml:1: expected a map of sections"),
        ({"mesh": "profiles: [a]"}, "mesh.yaml:1: profiles: expected a map of profiles by name"),
        ({"mesh": "profiles: {a: 5}"}, "mesh.yaml:1: profiles.a: expected a map of sections"),
    ],
)
def test_what_is_wrong_with_the_files_is_said(folder: Folder, files: dict[str, str], problem: str) -> None:
    found = folder.write(**files).problems()
    assert any(each.startswith(problem) for each in found), found


def test_a_pipe_is_not_waited_for(folder: Folder) -> None:
    folder.write(mesh="include: pipe.yaml")
    os.mkfifo(folder.root / "pipe.yaml")
    assert folder.problems() == ["mesh.yaml:1: include: pipe.yaml is not a file"]


@pytest.mark.parametrize("kind", ["pipe", "link", "loop"])
@pytest.mark.parametrize(
    ("pattern", "place"), [("parts/*.yaml", "mesh.yaml:1: include: "), (None, "conf.d/odd.yaml: ")]
)
def test_what_matches_a_pattern_and_cannot_be_read_is_said(
    folder: Folder, kind: str, pattern: str | None, place: str
) -> None:
    folder.write(mesh=f"include: {pattern}" if pattern else "aliases: {}", parts__a="", conf_d__a="")
    odd = folder.root / ("parts" if pattern else "conf.d") / "odd.yaml"
    if kind == "pipe":
        os.mkfifo(odd)
    else:
        odd.symlink_to("gone.yaml" if kind == "link" else "odd.yaml")
    why = "is not a file" if kind == "pipe" else "is a link to a missing file"
    assert folder.problems() == [f"{place}{odd.parent.name}/odd.yaml {why}"]


def test_a_directory_that_cannot_be_listed_is_said(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.write(mesh="\ninclude: parts/*.yaml", parts__a="", conf_d__a="")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert folder.problems() == [
        "mesh.yaml:2: include: the files in parts cannot be listed: it is not readable",
        "mesh.yaml: the files in conf.d cannot be listed: it is not readable",
    ]


def test_masked_files_and_directories_do_not_count(folder: Folder) -> None:
    folder.write(mesh="include: parts/*.yaml\n" + ONE, parts__a="", conf_d__a="")
    (folder.root / "conf.d" / "10-x.yaml").symlink_to(os.devnull)
    (folder.root / "parts" / "b.yaml").mkdir()
    assert folder.problems() == []


def test_number_depth_and_size_are_bounded(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = {f"d{number}": f"include: d{number + 1}.yaml" for number in range(9)}
    assert "8 levels deep" in folder.write(mesh="include: d0.yaml", **deep, d9="").problems()[0]
    monkeypatch.setattr(including, "MOST_FILES", 3)
    many = {f"many__{number}": "" for number in range(4)}
    assert "more than 3 files" in folder.write(mesh="include: many/*.yaml", **many).problems()[0]
    monkeypatch.setattr(including, "MOST_VALUES", 10)
    large = "aliases: {a: b, c: d, e: f}\n"
    assert "too large" in folder.write(mesh="include: [a.yaml, b.yaml]", a=large, b=large).problems()[0]


PROFILES = (
    ONE
    + """
daemon: {max_queue: 1}
profiles:
  work:
    daemon: {max_queue: 2, max_inflight: 2}
    pools: {chat: {config: {models: [one.a]}}}
  fast:
    daemon: {max_queue: 3}
  empty:
"""
)


@pytest.mark.parametrize(
    ("names", "queue", "inflight"),
    [("", 1, 4096), ("work", 2, 2), ("work,fast", 3, 2), ("fast, work", 2, 2), ("empty", 1, 4096)],
)
def test_profiles_come_last_in_the_order_of_their_names(folder: Folder, names: str, queue: int, inflight: int) -> None:
    config = folder.write(mesh=PROFILES).read(MESHD_PROFILE=names)
    assert config.validate() == []
    assert (config.daemon.max_queue, config.daemon.max_inflight) == (queue, inflight)
    assert ("chat" in config.pools) is ("work" in names)


def test_a_profile_may_be_spread_over_files(folder: Folder) -> None:
    folder.write(mesh=PROFILES, conf_d__a="profiles:\n  work: {daemon: {max_queue: 9}}\n")
    daemon = folder.read(MESHD_PROFILE="work").daemon
    assert (daemon.max_queue, daemon.max_inflight) == (9, 2)


def test_a_profile_that_does_not_exist_is_an_error_of_a_file(folder: Folder) -> None:
    (problem,) = folder.write(mesh=PROFILES).problems(MESHD_PROFILE="wrok")
    assert problem.startswith("mesh.yaml: profiles: MESHD_PROFILE names the profile 'wrok', which does not exist")
    assert "work" in problem
    assert MeshConfig.from_dict({"providers": {}}, environ={"MESHD_PROFILE": "wrok"}).validate() == []


@pytest.mark.parametrize(
    ("profile", "problem"),
    [
        ("pools: {chat: {strateggy: a}}", "mesh.yaml:2: profiles.a.pools.chat.strateggy: unknown key"),
        ("daemon: {max_queue: many}", "mesh.yaml:2: profiles.a.daemon.max_queue: expected a whole number"),
        ("pools: {chat: {models: [one.defined-elsewhere]}}", None),
        ("daemon: {max_queue: '${env:NOT_SET}'}", None),
        ("include: b.yaml", "mesh.yaml:2: profiles.a.include: works only at the top of a file"),
        ("profiles: {b: {}}", "mesh.yaml:2: profiles.a.profiles: works only at the top of a file"),
    ],
)
def test_profiles_that_are_not_in_use_are_checked_alone(folder: Folder, profile: str, problem: str | None) -> None:
    found = folder.write(mesh=f"profiles:\n  a: {{{profile}}}\n" + ONE).problems()
    assert (not found) if problem is None else any(each.startswith(problem) for each in found), found


@pytest.mark.parametrize("key", ["include", "profiles"])
def test_a_profile_in_use_has_no_files_and_profiles_of_its_own(folder: Folder, key: str) -> None:
    folder.write(mesh=ONE, conf_d__b=f"profiles:\n  a:\n    {key}: {{}}\n")
    found = folder.problems(MESHD_PROFILE="a")
    assert found == [f"conf.d/b.yaml:3: profiles.a.{key}: works only at the top of a file, not in a profile"]


def test_programs_may_give_profiles_but_include_nothing() -> None:
    given: dict[str, Any] = {"profiles": {"a": {"daemon": {"max_queue": 5}}}}
    assert MeshConfig.from_dict(given, environ={"MESHD_PROFILE": "a"}).daemon.max_queue == 5
    text = "include: a.yaml\n"
    (problem,) = MeshConfig.from_text(text, environ={}).validate()
    assert (problem.path, problem.line) == ("include", 1)


def test_secrets_are_taken_only_from_what_is_in_use(folder: Folder) -> None:
    folder.write(mesh="profiles: {a: {providers: {openai: {api_key: '${secrets:WORK}'}}}}\nproviders: {openai: {}}\n")
    assert set(folder.read().secret_paths()) == {"OPENAI_API_KEY"}
    assert set(folder.read(MESHD_PROFILE="a").secret_paths()) == {"WORK"}


def test_each_value_is_traced_to_its_file(folder: Folder) -> None:
    folder.write(mesh="include: a.yaml\n" + PROFILES, a="\naliases: {x: chat}\n", conf_d__b="daemon: {max_queue: 7}\n")
    told = folder.read(MESHD_PROFILE="work").with_secrets({"A": "b"}).described()
    assert [Path(file).name for file in told["files"]] == ["mesh.yaml", "a.yaml", "b.yaml"]
    assert told["profiles"] == ["work"]
    origins = {each["path"]: (Path(each["file"]).name, each["line"]) for each in told["origins"]}
    assert origins["aliases.x"] == ("a.yaml", 2)
    assert origins["daemon.max_queue"] == ("mesh.yaml", 8)
    assert origins["providers.one.connector"] == ("mesh.yaml", 3)
