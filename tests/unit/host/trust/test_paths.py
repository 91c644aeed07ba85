"""What sshd calls StrictModes: a path is trusted if only root and the daemon's user can change what is at it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshd.host.trust.paths import untrusted

STRANGER = 65533
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file to another user")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "a folder"
    folder.mkdir(mode=0o755)
    (folder / "file").write_text("")
    (folder / "file").chmod(0o600)
    yield folder
    folder.chmod(0o755)


def repaired(path: Path) -> str:
    """Run the command that a fault names, which has to leave none."""
    fault = untrusted(path)
    assert fault is not None
    subprocess.run(fault.repair, shell=True, check=True)
    assert untrusted(path) is None
    return fault.why


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o400, 0o755, 0o4755])
def test_what_only_its_owner_may_write_is_trusted(place: Path, mode: int) -> None:
    (place / "file").chmod(mode)
    assert untrusted(place / "file") is None
    assert untrusted(place) is None


@settings(max_examples=60, deadline=None)
@given(depth=st.integers(0, 3), bits=st.sampled_from([0o002, 0o020, 0o022, 0o006, 0o007]), link=st.booleans())
def test_each_step_counts_also_behind_a_link(
    tmp_path_factory: pytest.TempPathFactory, depth: int, bits: int, link: bool
) -> None:
    base = tmp_path_factory.mktemp("steps")
    steps = [base / "a", base / "a/b", base / "a/b/c", base / "a/b/c/file"]
    for step in steps[:-1]:
        step.mkdir(mode=0o700)
    steps[-1].write_text("")
    path = steps[-1]
    if link:
        (base / "link").symlink_to("a/../a/b")
        path = base / "link" / "c" / "file"
    assert untrusted(path) is None
    os.chown(steps[depth], -1, STRANGER if os.geteuid() == 0 else -1)
    steps[depth].chmod(0o700 | bits)
    if os.geteuid() == 0 or bits & 0o002:
        assert "can be written by" in repaired(path)


def test_a_directory_with_the_sticky_bit_may_lie_above_but_not_be_used_itself(place: Path) -> None:
    place.chmod(0o1777)
    assert untrusted(place / "file") is None
    fault = untrusted(place)
    assert fault is not None
    assert fault.repair == f"mkdir -m 700 '{place}/meshd'"


def test_what_is_not_there_is_not_judged_but_the_way_to_it_is(place: Path) -> None:
    assert untrusted(place / "none" / "at all") is None
    place.chmod(0o777)
    assert untrusted(place / "none") is not None


def test_a_device_and_a_circle_of_links_are_left_to_whoever_opens_them(place: Path) -> None:
    (place / "one").symlink_to("two")
    (place / "two").symlink_to("one")
    assert untrusted(place / "one") is None
    assert untrusted("/dev/null") is None


def test_a_group_may_write_if_nobody_else_is_in_it(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import grp
    import pwd

    (place / "file").chmod(0o664)
    gid = (place / "file").stat().st_gid
    alone = [account for account in pwd.getpwall() if account.pw_uid == os.getuid()]
    monkeypatch.setattr(pwd, "getpwall", lambda: alone)
    monkeypatch.setattr(grp, "getgrgid", lambda id: grp.struct_group(("own", "x", gid, [])))
    assert untrusted(place / "file") is None
    other = pwd.struct_passwd(("other", "x", STRANGER, gid, "", "/", "/bin/sh"))
    monkeypatch.setattr(pwd, "getpwall", lambda: [*alone, other])
    fault = untrusted(place / "file")
    assert fault is not None
    assert fault.why == "can be written by the group own"
    assert fault.repair.startswith("chmod g-w")


@root_only
def test_a_list_of_access_rights_may_name_somebody_else(place: Path) -> None:
    """With such a list, the bits of the group are the most that anyone named in it may do."""
    anybody = 0xFFFFFFFF
    entries = [(1, 6, anybody), (2, 6, STRANGER), (4, 0, anybody), (16, 6, anybody), (32, 0, anybody)]
    acl = (2).to_bytes(4, "little") + b"".join(
        tag.to_bytes(2, "little") + right.to_bytes(2, "little") + id.to_bytes(4, "little") for tag, right, id in entries
    )
    try:
        os.setxattr(place / "file", "system.posix_acl_access", acl)
    except OSError:
        pytest.skip("this file system has no lists of access rights")
    fault = untrusted(place / "file")
    assert fault is not None
    assert fault.why.startswith("can be written by the group")


@root_only
@pytest.mark.parametrize("step", ["file", "", "link"])
def test_another_owner_is_named_with_the_command_that_changes_it(place: Path, step: str) -> None:
    (place / "link").symlink_to("file")
    os.chown(place / step, STRANGER, -1, follow_symlinks=False)
    why = repaired(place / (step or "file"))
    assert why == f"belongs to {STRANGER}"


@root_only
def test_a_daemon_of_another_user_trusts_him_and_root(place: Path) -> None:
    os.chown(place / "file", STRANGER, -1)
    assert untrusted(place / "file", uid=STRANGER) is None
    os.chown(place / "file", 0, -1)
    assert untrusted(place / "file", uid=STRANGER) is None
    os.chown(place / "file", STRANGER + 1, -1)
    fault = untrusted(place / "file", uid=STRANGER)
    assert fault is not None
    assert fault.repair == f"chown {STRANGER} '{place}/file'"


@root_only
def test_in_a_container_a_file_may_belong_to_a_user_of_outside(place: Path) -> None:
    """As a mounted configuration does: no process in the container can have that uid."""
    os.chown(place / "file", STRANGER, STRANGER)
    (place / "file").chmod(0o664)
    assert untrusted(place / "file") is not None
    code = f"from meshd.host.trust.paths import untrusted; print(untrusted({str(place / 'file')!r}))"
    said = subprocess.run(
        ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", code],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if said.returncode:
        pytest.skip(f"no namespace of processes here: {said.stderr.strip()}")
    assert said.stdout.strip() == "None"
