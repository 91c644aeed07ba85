"""Where the file is looked for."""

from __future__ import annotations

from pathlib import Path

from meshd.config.read.lookup import find_config


def test_the_order(tmp_path: Path) -> None:
    user, system = tmp_path / "user", tmp_path / "system"
    environ = {"XDG_CONFIG_HOME": str(user), "HOME": str(tmp_path)}
    assert find_config(environ=environ, system_directory=system) is None
    system.mkdir()
    (system / "mesh.yaml").touch()
    assert find_config(environ=environ, system_directory=system) == system / "mesh.yaml"
    (user / "meshd").mkdir(parents=True)
    (user / "meshd" / "mesh.toml").touch()
    assert find_config(environ=environ, system_directory=system) == user / "meshd" / "mesh.toml"
    (user / "meshd" / "mesh.yaml").touch()
    assert find_config(environ=environ, system_directory=system) == user / "meshd" / "mesh.yaml"
    named = {**environ, "MESHD_CONFIG": str(tmp_path / "named.yaml")}
    assert find_config(environ=named, system_directory=system) == tmp_path / "named.yaml"
    assert find_config(tmp_path / "given.yaml", named, system) == tmp_path / "given.yaml"


def test_the_home_directory_is_the_default(tmp_path: Path) -> None:
    (tmp_path / ".config" / "meshd").mkdir(parents=True)
    (tmp_path / ".config" / "meshd" / "mesh.yaml").touch()
    found = find_config(environ={"HOME": str(tmp_path)}, system_directory=tmp_path)
    assert found == tmp_path / ".config" / "meshd" / "mesh.yaml"
