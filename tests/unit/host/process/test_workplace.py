"""Where a process works: its repository, and who may be looked at."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from meshd.host.process import workplace
from meshd.host.process.processes import start_time

ME = os.getuid()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(workplace, "home_of", lambda uid: str(tmp_path))
    return tmp_path


@pytest.fixture
def works_in(home: Path) -> Iterator[object]:
    """`works_in(path)`: the project of a process whose working directory that is."""
    started: list[subprocess.Popen[bytes]] = []

    def at(path: Path, uid: int = ME) -> str:
        path.mkdir(parents=True, exist_ok=True)
        process = subprocess.Popen(["/bin/cat"], cwd=path, stdin=subprocess.PIPE)
        started.append(process)
        return workplace.project_of(process.pid, start_time(process.pid), uid)

    yield at
    for process in started:
        process.kill()
        process.communicate()


def repository(path: Path) -> Path:
    (path / ".git").mkdir(parents=True)
    return path


def test_the_repository_above_the_working_directory(home: Path, works_in: object) -> None:
    repository(home / "work/api")
    assert works_in(home / "work/api/src/deep") == "~/work/api"  # type: ignore[operator]
    assert works_in(home / "work/api") == "~/work/api"  # type: ignore[operator]
    assert works_in(home / "elsewhere") == ""  # type: ignore[operator]


def test_a_work_tree_belongs_to_its_repository(home: Path, works_in: object) -> None:
    tree = home / "trees/fix"
    tree.mkdir(parents=True)
    (tree / ".git").write_text(f"gitdir: {home}/work/api/.git/worktrees/fix\n")
    assert works_in(tree) == "~/work/api"  # type: ignore[operator]
    (tree / ".git").write_text("gitdir: ../../.git/modules/fix\n")
    assert works_in(tree) == "~/trees/fix"  # type: ignore[operator]


def test_links_pipes_and_other_users_directories_are_no_repository(home: Path, works_in: object) -> None:
    target = repository(home / "real")
    for name, make in (
        ("link", lambda at: at.symlink_to(target / ".git")),
        ("pipe", os.mkfifo),
    ):
        (home / name).mkdir()
        make(home / name / ".git")
        assert works_in(home / name) == ""  # type: ignore[operator]
    if ME == 0:
        os.chown(target / ".git", 12345, -1)
        assert works_in(target) == ""  # type: ignore[operator]
        assert works_in(target, uid=12345) == "~/real"  # type: ignore[operator]


def test_a_name_is_short_and_steers_nothing(home: Path, works_in: object) -> None:
    deep = repository(home / "very/long/path/of/many/folders/that/does/not/fit/on/one/line/of/a/table/api")
    found = works_in(deep)  # type: ignore[operator]
    assert found.endswith("/a/table/api")
    assert found.startswith("…/")
    assert len(found) <= 64
    assert works_in(repository(home / "a\x1b[31mb")) == "~/a[31mb"  # type: ignore[operator]


@pytest.mark.skipif(ME != 0, reason="starting a process as another user needs root")
def test_what_another_user_may_not_see_is_not_told() -> None:
    """A daemon without CAP_SYS_PTRACE looks at this process, which is root's."""
    code = "from meshd.host.process import workplace as w, processes as p; import os\n"
    code += f"pid = {os.getpid()}; os.setgroups([]); os.setgid(12345); os.setuid(12345)\n"
    code += "print([w.project_of(pid, p.start_time(pid), 0), w.holders_of(0, [1])])"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert told.stdout.strip() == "['', {}]"


def test_another_process_with_the_same_pid_is_not_looked_at(home: Path) -> None:
    assert workplace.project_of(os.getpid(), start_time(os.getpid()) + 1, ME) == ""
    assert workplace.project_of(2**22 + 1, 5, ME) == ""


def test_the_process_that_holds_a_socket() -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        code = f"import socket,sys; s = socket.create_connection(('127.0.0.1', {listening.getsockname()[1]}))\n"
        code += "import os; print(os.fstat(s.fileno()).st_ino, flush=True); sys.stdin.read()"
        child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            assert child.stdout is not None
            inode = int(child.stdout.readline())
            holder = (child.pid, start_time(child.pid))
            assert workplace.holders_of(ME, [inode]) == {inode: holder}
            assert workplace.holders_of(ME, [inode], likely=[child.pid, os.getpid(), 2**22 + 1]) == {inode: holder}
            assert workplace.holders_of(ME + 77, [inode], likely=[child.pid]) == {}
            assert workplace.holders_of(ME, []) == {}
        finally:
            child.kill()
            child.communicate()
    assert workplace.holders_of(ME, [inode]) == {}
