"""The man pages and completions: that they are whole, and that groff, mandoc and the shells can use them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from meshd.cli import entry
from meshd.config.write import docs
from meshd.manual import __main__ as manual
from meshd.manual import roff

QUICK = 20


@pytest.fixture(scope="module")
def share(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("share")
    assert manual.main([str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which shells find this `meshctl`."""
    folder = tmp_path_factory.mktemp("bin")
    script = folder / "meshctl"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -c "from meshd.cli.entry import main; main()" "$@"\n')
    script.chmod(0o755)
    home = tmp_path_factory.mktemp("home")
    return os.environ | {
        "PATH": f"{folder}:{os.environ['PATH']}",
        "HOME": str(home),
        "MESH_SOCKET": "/nowhere/mesh.sock",
    }


def text_of(path: Path) -> str:
    """What a reader sees of a page, as far as words matter."""
    return re.sub(r"\\f[BIR]", "", path.read_text()).replace("\\-", "-").replace("\\(aq", "'")


def test_every_command_has_a_page_with_all_of_its_options(share: Path) -> None:
    pages = {path.name for path in (share / "man/man1").iterdir()}
    assert pages == {"meshd.1", "meshctl.1", *(f"meshctl-{name}.1" for name in entry.COMMANDS)}
    assert "--store" in text_of(share / "man/man1/meshctl-secrets.1")
    assert "meshctl service uninstall" in text_of(share / "man/man1/meshctl-service.1")
    assert "--log-level debug|info" in text_of(share / "man/man1/meshd.1")


def test_every_section_of_the_configuration_is_in_its_page(share: Path) -> None:
    page = text_of(share / "man/man5/mesh.yaml.5")
    titles = re.findall(r'^\.SH "(.*)"$', page, re.MULTILINE)
    assert {title.upper() for title in re.findall(r"^## (.*)$", docs.page(), re.MULTILINE)} <= {*titles}
    assert "PROVIDERS.NAME" in titles
    assert "queue_timeout" in page


def test_nothing_of_markdown_is_left(share: Path) -> None:
    for path in share.glob("man/*/*"):
        lines = [line for line in text_of(path).splitlines() if not line.startswith(".")]
        assert not [line for line in lines if re.search(r"\*\*|\]\(|^\|", line)], path.name


def test_text_is_not_taken_for_macros() -> None:
    assert roff.line(".SH") == "\\&.SH"
    assert roff.inline("`--a` and a\\b, **`x`** is [here](docs.md) or [there](https://a.b)") == (
        "\\fB\\-\\-a\\fR and a\\eb, \\fBx\\fR is here or there (https://a.b)"
    )
    table = list(roff.from_markdown("| key | meaning | default |\n| --- | --- | --- |\n| `a` | one \\| two | 5 |\n"))
    assert table == [".TP", "\\fBa\\fR", "one | two. Default: 5."]


def test_the_date_is_that_of_the_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    manual.main([str(tmp_path)])
    assert '"1970-01-02"' in (tmp_path / "man/man1/meshd.1").read_text()


@pytest.mark.skipif(shutil.which("mandoc") is None, reason="mandoc is not installed")
def test_mandoc_finds_nothing(share: Path) -> None:
    pages = sorted(map(str, share.glob("man/*/*")))
    done = subprocess.run(
        ["mandoc", "-T", "lint", "-W", "warning", *pages], capture_output=True, text=True, timeout=QUICK
    )
    assert done.stdout + done.stderr == ""


@pytest.mark.parametrize("name", ["meshctl", "meshd"])
def test_bash(share: Path, programs: dict[str, str], name: str) -> None:
    script = f"source {share}/bash-completion/completions/{name}; "
    if name == "meshctl":
        script += 'COMP_WORDS=(meshctl serv); COMP_CWORD=1; _meshctl meshctl; echo "${COMPREPLY[@]}"'
    else:
        script += (
            '_meshd meshd --lo meshd; echo "${COMPREPLY[@]}"; _meshd meshd "w" --log-level; echo "${COMPREPLY[@]}"'
        )
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=QUICK, env=programs)
    assert (done.stdout.split(), done.stderr) == (["service"] if name == "meshctl" else ["--log-level", "warning"], "")


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
def test_fish(share: Path, programs: dict[str, str]) -> None:
    folder = share / "fish/vendor_completions.d"
    script = f"source {folder}/meshctl.fish; source {folder}/meshd.fish; "
    script += "complete -C 'meshctl serv'; complete -C 'meshd --ch'"
    done = subprocess.run(["fish", "-N", "-c", script], capture_output=True, text=True, timeout=QUICK, env=programs)
    assert [line.split("\t")[0] for line in done.stdout.splitlines()] == ["service", "--check"], done.stderr


ZSH = """
zmodload zsh/zpty
zpty shell 'zsh -f -i'
zpty -w shell "PS1=; fpath=({folder} \\$fpath); autoload -Uz compinit; compinit -u -D"
zpty -w shell "bindkey '^I' complete-word; print READY"
zpty -r -m shell line '*READY*READY*'
zpty -w -n shell $'{typed}\\t'
zpty -r -m shell line '*{wanted}*' && print -r FOUND
zpty -d shell
"""


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
@pytest.mark.parametrize(("typed", "wanted"), [("meshctl serv", "meshctl service"), ("meshd --che", "meshd --check")])
def test_zsh(share: Path, programs: dict[str, str], typed: str, wanted: str) -> None:
    script = ZSH.format(folder=share / "zsh/vendor-completions", typed=typed, wanted=wanted)
    done = subprocess.run(["zsh", "-f", "-c", script], capture_output=True, text=True, timeout=QUICK, env=programs)
    assert done.stdout.strip().endswith("FOUND"), (done.stdout, done.stderr)
