"""What each program gets: nothing else in its files changes, and a restore gives them back to the byte."""

from __future__ import annotations

import json
import os
import stat
import tomllib
from pathlib import Path
from typing import Any

import pytest

from meshd.cli import daemon
from meshd.cli.connect import plan
from meshd.cli.connect.edits import writer_of
from meshd.cli.connect.mesh import Mesh, Model
from meshd.cli.connect.tools import TOOLS, Tool

CODING = Model("coding", 200_000, 32_000, True, True, True)
SMALL = Model("small", 8_000, 2_000, False, False, False)
NEW = Model("new/one:x", None, None, False, False, False)
MESH = Mesh("http://127.0.0.1:8741", "", (SMALL, CODING, NEW), CODING)
TOKEN = "mesh-secret-token"
GUARDED = Mesh("http://127.0.0.1:8741", TOKEN, (SMALL, CODING, NEW), CODING)
MINE = {
    "json": (
        '// mine\n{\n\t"theme": "dark", // not light\n\t"apiKey": "sk-mine",\n'
        '\t"list": [1, {"x": 1, "API_KEY": "sk-mine"},],\n}\n'
    ),
    "toml": '# mine\nname = "x" # keep\n\n[other]\napi_key = "sk-mine" # keep\n',
    "yaml": "# mine\ntheme: dark  # keep\ntoken: sk-mine  # keep\nother:\n  - a  # first\n  - b\n",
}
KEEPERS = [tool for tool in TOOLS.values() if tool.keeps_key]
every_tool = pytest.mark.parametrize("tool", TOOLS.values(), ids=list(TOOLS))


def files_of(home: Path) -> dict[str, tuple[bytes, int]]:
    """Every file below a directory but the backups: its bytes and mode."""
    return {
        str(path.relative_to(home)): (path.read_bytes(), stat.S_IMODE(path.stat().st_mode))
        for path in sorted(home.rglob("*"))
        if path.is_file() and ".local" not in path.parts
    }


def connect(tool: Tool, home: Path, mesh: Mesh = MESH) -> list[plan.Change]:
    changes = plan.to_connect(tool, mesh, {}, home)
    plan.connect(tool, changes, {}, home)
    return changes


def restore(tool: Tool, home: Path) -> list[Path]:
    return plan.restore(tool, plan.to_restore(tool, {}, home), {}, home)


def prepared(tool: Tool, home: Path, mode: int = 0o640) -> list[Path]:
    """Its settings with comments and settings of the user's."""
    paths = []
    for file in tool.files:
        path = plan.path_of(file, tool.folder({}, home))
        path.parent.mkdir(parents=True, exist_ok=True)
        text = MINE[file.format]
        if tool.name == "llm":
            text = "# mine\n- model_id: mine  # keep\n  model_name: x\n"
        path.write_text(text)
        path.chmod(mode)
        paths.append(path)
    return paths


@every_tool
def test_where_nothing_was_nothing_is_left(tool: Tool, tmp_path: Path) -> None:
    connect(tool, tmp_path)
    assert len(files_of(tmp_path)) == len(tool.files)
    assert all(mode == 0o600 for _, mode in files_of(tmp_path).values())
    restore(tool, tmp_path)
    assert files_of(tmp_path) == {}
    assert [path.name for path in tmp_path.iterdir()] == [".local"]
    assert plan.to_restore(tool, {}, tmp_path) == []


@every_tool
def test_the_users_settings_stay_and_come_back_to_the_byte(tool: Tool, tmp_path: Path) -> None:
    paths = prepared(tool, tmp_path)
    before = files_of(tmp_path)
    connect(tool, tmp_path)
    after = files_of(tmp_path)
    assert after.keys() == before.keys()
    assert all(mode == 0o640 for _, mode in after.values())
    for path, file in zip(paths, tool.files, strict=True):
        assert all(line in path.read_text() for line in MINE[file.format].splitlines() if "keep" in line) or (
            tool.name == "llm"
        )
        assert "mine" in path.read_text()
        written = writer_of(file.format).read(path.read_text())
        assert written != writer_of(file.format).read(before[str(path.relative_to(tmp_path))][0].decode())
    restore(tool, tmp_path)
    assert files_of(tmp_path) == before


@every_tool
def test_again_changes_nothing_and_a_pool_that_has_gone_goes(tool: Tool, tmp_path: Path) -> None:
    prepared(tool, tmp_path)
    before = files_of(tmp_path)
    connect(tool, tmp_path)
    if tool.name != "cline":  # its settings have a time
        assert all(change.is_none for change in connect(tool, tmp_path))
    connect(tool, tmp_path, Mesh(MESH.address, "", (CODING,), CODING))
    assert not any(b"new/one:x" in data for data, _ in files_of(tmp_path).values())
    restore(tool, tmp_path)
    assert files_of(tmp_path) == before


@every_tool
def test_a_token_is_for_its_owner_alone(tool: Tool, tmp_path: Path) -> None:
    prepared(tool, tmp_path, 0o664)
    before = files_of(tmp_path)
    changes = connect(tool, tmp_path, GUARDED)
    for name, (data, mode) in files_of(tmp_path).items():
        assert mode & 0o077 == 0 or TOKEN.encode() not in data, name
    assert any(TOKEN.encode() in data for data, _ in files_of(tmp_path).values()) is tool.keeps_key
    assert not any(TOKEN in change.diff() or "sk-mine" in change.diff() for change in changes)
    backup = tmp_path / ".local/state/meshd/connect" / f"{tool.name}.json"
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    restore(tool, tmp_path)
    assert files_of(tmp_path) == before


@every_tool
def test_of_a_file_that_was_changed_since_only_what_was_written_is_undone(tool: Tool, tmp_path: Path) -> None:
    """Where that cannot be told, the changed file is kept beside the restored one."""
    path, *_ = prepared(tool, tmp_path)
    before = files_of(tmp_path)
    connect(tool, tmp_path)
    changed = path.read_bytes() + b"\n"
    path.write_bytes(changed)
    first, *_ = plan.to_restore(tool, {}, tmp_path)
    assert first.edited_since is (tool.files[0].format == "yaml")
    kept = restore(tool, tmp_path)
    assert [each.read_bytes() for each in kept] == ([changed] if first.edited_since else [])
    if first.edited_since:
        assert files_of(tmp_path) == before
        return
    read = writer_of(tool.files[0].format).read
    assert read(path.read_text()) == read(before[str(path.relative_to(tmp_path))][0].decode())
    assert path.read_bytes().endswith(b"\n\n")


@pytest.mark.parametrize(
    "tool", [tool for tool in TOOLS.values() if tool.files[0].format != "yaml"], ids=lambda t: t.name
)
def test_a_file_that_has_nothing_else_is_removed_and_one_that_has_stays_valid(tool: Tool, tmp_path: Path) -> None:
    path, read = plan.path_of(tool.files[0], tool.folder({}, tmp_path)), writer_of(tool.files[0].format).read
    connect(tool, tmp_path)
    path.write_bytes(path.read_bytes() + b"\n")
    assert restore(tool, tmp_path) == []
    assert not path.exists()
    connect(tool, tmp_path)
    own = "own = 1\n" if tool.files[0].format == "toml" else ""
    text = path.read_text()
    path.write_text(own + text if own else text.replace("{", '{\n  "own": 1,', 1))
    assert restore(tool, tmp_path) == []
    heads: dict[str, dict[str, Any]] = {
        "cline": {"version": 1},
        "opencode": {"$schema": "https://opencode.ai/config.json"},
    }
    assert read(path.read_text()) == {"own": 1, **heads.get(tool.name, {})}


def test_a_file_without_its_token_is_as_open_as_it_was(tmp_path: Path) -> None:
    path, *_ = prepared(TOOLS["claude"], tmp_path, 0o644)
    connect(TOOLS["claude"], tmp_path, GUARDED)
    path.write_text(path.read_text() + "\n")
    restore(TOOLS["claude"], tmp_path)
    assert (TOKEN in path.read_text(), stat.S_IMODE(path.stat().st_mode)) == (False, 0o644)


def test_what_a_program_wrote_since_stays(tmp_path: Path) -> None:
    for name, since in (("codex", '\n[projects."/x"]\ntrust_level = "trusted"\n'), ("claude", "")):
        connect(TOOLS[name], tmp_path)
        path = plan.path_of(TOOLS[name].files[0], TOOLS[name].folder({}, tmp_path))
        path.write_text(path.read_text().replace("{\n", '{\n  "theme": "dark",\n', 1) + since)
        assert restore(TOOLS[name], tmp_path) == []
    assert tomllib.loads((tmp_path / ".codex/config.toml").read_text()) == {
        "projects": {"/x": {"trust_level": "trusted"}}
    }
    assert (tmp_path / ".claude/settings.json").read_text() == '{\n  "theme": "dark"\n}\n'


@every_tool
def test_what_cannot_be_read_stays(tool: Tool, tmp_path: Path) -> None:
    path, *_ = prepared(tool, tmp_path)
    for data in (b"\xff\xfe broken", b"{[not any of: them"):
        path.write_bytes(data)
        with pytest.raises(daemon.Refused) as refused:
            connect(tool, tmp_path)
        assert "left as it is" in str(refused.value)
        assert path.read_bytes() == data


# -- what is in the files -------------------------------------------------------------------------------


def written(name: str, home: Path, mesh: Mesh = MESH) -> list[Any]:
    tool = TOOLS[name]
    connect(tool, home, mesh)
    return [writer_of(file.format).read(plan.path_of(file, tool.folder({}, home)).read_text()) for file in tool.files]


def test_claude_code(tmp_path: Path) -> None:
    [found] = written("claude", tmp_path)
    assert found["env"]["ANTHROPIC_BASE_URL"] == "http://127.0.0.1:8741"
    assert found["env"]["ANTHROPIC_MODEL"] == found["env"]["ANTHROPIC_DEFAULT_HAIKU_MODEL"] == "coding"
    assert found["env"]["CLAUDE_CODE_MAX_CONTEXT_TOKENS"] == "200000"
    assert found["env"]["CLAUDE_CODE_MAX_OUTPUT_TOKENS"] == "32000"
    assert found["env"]["ANTHROPIC_AUTH_TOKEN"] == "none"
    [new] = written("claude", tmp_path / "x", Mesh(MESH.address, "", (NEW,), NEW))
    assert not any("MAX" in name for name in new["env"])


def test_codex(tmp_path: Path) -> None:
    [found] = written("codex", tmp_path, GUARDED)
    assert (found["model"], found["model_provider"], found["model_context_window"]) == ("coding", "meshd", 200_000)
    assert found["model_providers"]["meshd"] == {
        "name": "meshd",
        "base_url": "http://127.0.0.1:8741/v1",
        "wire_api": "responses",
        "supports_websockets": False,
        "experimental_bearer_token": TOKEN,
    }


REPORTING = [tool for tool in TOOLS.values() if tool.reports]


@pytest.mark.parametrize("tool", REPORTING, ids=lambda tool: tool.name)
def test_only_its_usage_is_reported(tool: Tool, tmp_path: Path) -> None:
    prepared(tool, tmp_path)
    before = files_of(tmp_path)
    changes = connect(tool.reporting, tmp_path, GUARDED)
    [change] = changes
    assert TOKEN not in change.diff()
    text = change.path.read_text()
    assert "http://127.0.0.1:8741/v1/logs" in text
    assert f"Bearer {TOKEN}" in text
    assert "ANTHROPIC_BASE_URL" not in text
    assert "model_provider" not in text
    assert stat.S_IMODE(change.path.stat().st_mode) & 0o077 == 0
    connect(tool, tmp_path)
    assert "v1/logs" not in change.path.read_text(), "what was written before is undone"
    restore(tool, tmp_path)
    assert files_of(tmp_path) == before


def test_codex_has_its_settings_above_the_tables(tmp_path: Path) -> None:
    path = tmp_path / ".codex" / "config.toml"
    path.parent.mkdir()
    path.write_text("[tools]\nweb = true\n")
    connect(TOOLS["codex"], tmp_path)
    assert tomllib.loads(path.read_text())["model"] == "coding"


def test_opencode(tmp_path: Path) -> None:
    [found] = written("opencode", tmp_path)
    assert found["model"] == "meshd/coding"
    provider = found["provider"]["meshd"]
    assert provider["options"] == {"baseURL": "http://127.0.0.1:8741/v1", "apiKey": "none"}
    assert provider["models"]["small"]["limit"] == {"context": 8_000, "output": 2_000}
    assert provider["models"]["coding"]["modalities"]["input"] == ["text", "image"]
    assert "limit" not in provider["models"]["new/one:x"]


def test_cline(tmp_path: Path) -> None:
    [found] = written("cline", tmp_path)
    assert (found["version"], found["lastUsedProvider"]) == (1, "openai-compatible")
    settings = found["providers"]["openai-compatible"]["settings"]
    assert (settings["baseUrl"], settings["model"], settings["contextWindow"]) == (
        "http://127.0.0.1:8741/v1",
        "coding",
        200_000,
    )


def test_continue(tmp_path: Path) -> None:
    [found] = written("continue", tmp_path)
    assert (found["name"], found["schema"]) == ("meshd", "v1")
    assert [model["model"] for model in found["models"]] == ["small", "coding", "new/one:x"]
    assert found["models"][0]["defaultCompletionOptions"] == {"contextLength": 8_000, "maxTokens": 2_000}
    assert found["models"][1]["capabilities"] == ["tool_use", "image_input"]


def test_aider(tmp_path: Path) -> None:
    settings, models = written("aider", tmp_path)
    assert (settings["openai-api-base"], settings["model"]) == ("http://127.0.0.1:8741/v1", "openai/coding")
    assert models["openai/coding"]["max_input_tokens"] == 200_000


def test_zed(tmp_path: Path) -> None:
    [found] = written("zed", tmp_path, GUARDED)
    provider = found["language_models"]["openai_compatible"]["meshd"]
    assert [model["max_tokens"] for model in provider["available_models"]] == [8_000, 200_000, 32_768]
    assert found["agent"]["default_model"] == {"provider": "meshd", "model": "coding"}
    assert TOKEN not in json.dumps(found)
    assert "MESHD_API_KEY" in TOOLS["zed"].note


def test_llm(tmp_path: Path) -> None:
    [found] = written("llm", tmp_path, GUARDED)
    assert [model["model_id"] for model in found] == ["mesh/small", "mesh/coding", "mesh/new/one:x"]
    assert found[0]["headers"] == {"Authorization": f"Bearer {TOKEN}"}
    [open_to_all] = written("llm", tmp_path / "x")
    assert "headers" not in open_to_all[0]


def test_where_a_programs_folder_is(tmp_path: Path) -> None:
    home = tmp_path
    assert TOOLS["codex"].folder({"CODEX_HOME": "/x/codex"}, home) == Path("/x/codex")
    assert TOOLS["codex"].folder({"CODEX_HOME": "relative"}, home) == home / ".codex"
    assert TOOLS["zed"].folder({"XDG_CONFIG_HOME": "/x"}, home) == Path("/x/zed")
    assert TOOLS["aider"].folder({"XDG_CONFIG_HOME": "/x"}, home) == home
    (home / ".config/opencode").mkdir(parents=True)
    (home / ".config/opencode/opencode.jsonc").write_text("{}")
    assert plan.path_of(TOOLS["opencode"].files[0], home / ".config/opencode").name == "opencode.jsonc"


# -- whose files ----------------------------------------------------------------------------------------


def test_a_link_of_the_users_stays_a_link(tmp_path: Path) -> None:
    real = tmp_path / "dotfiles" / "claude.json"
    real.parent.mkdir()
    real.write_text("{}\n")
    (tmp_path / ".claude").mkdir()
    link = tmp_path / ".claude" / "settings.json"
    link.symlink_to(real)
    connect(TOOLS["claude"], tmp_path)
    assert link.is_symlink()
    assert "ANTHROPIC_BASE_URL" in real.read_text()
    restore(TOOLS["claude"], tmp_path)
    assert link.is_symlink()
    assert real.read_text() == "{}\n"


def test_a_place_that_others_can_change_is_not_written_to(tmp_path: Path) -> None:
    folder = tmp_path / ".claude"
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(daemon.Refused, match="others can change"):
        connect(TOOLS["claude"], tmp_path)
    folder.chmod(0o700)
    (folder / "settings.json").symlink_to(tmp_path / "nothing")
    with pytest.raises(daemon.Refused, match="is a broken link"):
        connect(TOOLS["claude"], tmp_path)
    (folder / "settings.json").unlink()
    os.mkfifo(folder / "settings.json")
    with pytest.raises(daemon.Refused, match="is not a file"):
        connect(TOOLS["claude"], tmp_path)


def test_a_file_that_changes_between_showing_and_writing_is_not_written(tmp_path: Path) -> None:
    path, *_ = prepared(TOOLS["claude"], tmp_path)
    changes = plan.to_connect(TOOLS["claude"], MESH, {}, tmp_path)
    path.write_text("{}")
    with pytest.raises(daemon.Refused, match="was changed just now"):
        plan.connect(TOOLS["claude"], changes, {}, tmp_path)
    assert path.read_text() == "{}"


@pytest.mark.parametrize(
    "data", ["nonsense", "[1]", '[{"path": 1}]', '[{"path": "/x", "before": "?", "mode": 1}]', "{}"]
)
def test_a_backup_that_is_none_is_told(data: str, tmp_path: Path) -> None:
    place = tmp_path / ".local/state/meshd/connect"
    place.mkdir(parents=True)
    (place / "claude.json").write_text(data)
    if data != "{}":
        with pytest.raises(daemon.Refused, match="not a backup"):
            plan.to_restore(TOOLS["claude"], {}, tmp_path)
