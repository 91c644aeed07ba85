"""Confines the process of an embedded model, before any byte of its weights is read.

Owns: what such a process may do: read Python, the system's libraries and its weights, and serve one UNIX socket.
Must never: import anything but the standard library, or fail: what the kernel or a container refuses is left out, and
`remark` says so.

Weights come from strangers, and the code that reads them is large and not hardened.
"""

from __future__ import annotations

import ctypes
import errno
import glob
import os
import site
import socket
import struct
import sys
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Final

NETWORK, FILES, CALLS = "network", "files", "calls"
ALL: Final = {NETWORK: "isolation from networks", FILES: "Landlock", CALLS: "a filter of system calls"}
_NEEDED: Final = {
    NETWORK: "user and network namespaces (sysctl user.max_user_namespaces, RestrictNamespaces= in a unit)",
    FILES: "a kernel from Linux 5.13 on, with landlock in its parameter lsm=",
    CALLS: "libseccomp (the package libseccomp2) and a kernel with seccomp",
}

_libc = ctypes.CDLL(None, use_errno=True)


def confine(runtime_dir: str, weights: str = "") -> list[str]:
    """Returns which of `ALL` are in force. Call it while the process has one thread."""
    _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    apart = _leave_network()  # first, as it writes to files of this process
    _libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)  # prompts are in its memory
    files = _restrict_files(runtime_dir, weights)
    _drop_capabilities()
    calls = _filter_calls()
    return [name for name, held in ((NETWORK, apart or calls), (FILES, files), (CALLS, calls)) if held]


def remark(held: Collection[str]) -> str:
    """What an operator should know and do about a process for which `confine` returned this; "" if nothing is
    missing."""
    missing = [name for name in ALL if name not in held]
    if not missing:
        return ""
    without, inside = (", ".join(ALL[name] for name in names) for names in (missing, [n for n in ALL if n in held]))
    needed = ", and ".join(_NEEDED[name] for name in missing)
    return f"embedded models run without {without} (in force: {inside or 'nothing'}); needed: {needed}"


_PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 4, 38
_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000


def _leave_network() -> bool:
    """Enter an empty network, which an ordinary user may do inside a user namespace."""
    uid, gid = os.getuid(), os.getgid()
    if _libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET):
        return False
    try:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
    except OSError:
        pass  # without the mapping, it is still the same user for files
    return True


def _drop_capabilities() -> None:
    version, this = 0x20080522, 0
    header, none = struct.pack("Ii", version, this), bytes(24)
    _libc.capset(header, none)


# -- Landlock -----------------------------------------------------------------------------------------

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every architecture
_VERSION, _PATH_BENEATH = 1, 1
_EXECUTE, _WRITE, _READ, _LIST = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REMOVE, _MAKE_SOCKET, _TRUNCATE, _DEVICE = 1 << 5, 1 << 9, 1 << 14, 1 << 15
_OF_FILES = _EXECUTE | _WRITE | _READ | _TRUNCATE | _DEVICE
_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}
"""How many file rights a kernel knows, by its Landlock version; later versions know 16."""
_TCP, _ABSTRACT_SOCKETS_AND_SIGNALS = 0b11, 0b11
_GRAPHICS = ("/dev/nvidia*", "/dev/dri", "/dev/kfd")
"""Some builds of the engine compute on these devices."""


def _restrict_files(runtime_dir: str, weights: str) -> bool:
    version = _libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION)
    if version < 1:
        return False
    rights = (1 << _RIGHTS.get(version, 16)) - 1
    given = struct.pack("QQQ", rights, _TCP, _ABSTRACT_SOCKETS_AND_SIGNALS)
    given = given[: 8 if version < 4 else 16 if version < 6 else 24]
    ruleset = _libc.syscall(_CREATE_RULESET, given, ctypes.c_size_t(len(given)), 0)
    if ruleset < 0:
        return False
    allowed = [(path, _EXECUTE | _READ | _LIST) for path in _readable(weights)]
    allowed += [(path, _READ | _WRITE | _LIST | _DEVICE) for pattern in _GRAPHICS for path in glob.glob(pattern)]
    allowed += [("/dev/null", _READ | _WRITE), (runtime_dir, _MAKE_SOCKET | _REMOVE)]
    try:
        if not all(_allow(ruleset, path, access & rights) for path, access in allowed):
            return False  # without its rules, the model could not even be read
        return bool(_libc.syscall(_RESTRICT_SELF, ruleset, 0) == 0)
    finally:
        os.close(ruleset)


def _readable(weights: str) -> Iterator[str]:
    """Paths that may be read. Not the current directory, although Python looks there: it may be a home directory."""
    yield from (sys.prefix, sys.base_prefix, *site.getsitepackages(), site.getusersitepackages())
    yield from os.environ.get("PYTHONPATH", "").split(os.pathsep)
    yield from os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep)
    yield str(Path(__file__).parents[3])
    yield from ("/usr", "/lib", "/lib32", "/lib64", "/etc/ld.so.cache", "/etc/localtime")
    yield from ("/proc", "/sys/devices/system", "/dev/urandom", "/dev/random", "/dev/zero")
    yield weights


def _allow(ruleset: int, path: str, access: int) -> bool:
    """Whether the kernel accepted the rule; True if there is nothing at the path."""
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return True
    try:
        if not os.path.isdir(path):
            access &= _OF_FILES
        return bool(_libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", access, fd), 0) == 0)
    finally:
        os.close(fd)


# -- system calls -------------------------------------------------------------------------------------

_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000
_NOT_EQUAL, _MASKED_EQUAL = 1, 7
_REFUSED = (
    # other programs, and networks: it only accepts on the socket that it binds
    *("execve", "execveat", "connect", "io_uring_setup", "io_uring_enter", "io_uring_register"),
    # file permissions, which Landlock does not cover
    *("chmod", "fchmod", "fchmodat", "fchmodat2", "chown", "lchown", "fchown", "fchownat"),
    *("setxattr", "lsetxattr", "fsetxattr", "setxattrat", "removexattr", "lremovexattr", "fremovexattr"),
    # other processes
    *("ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "kcmp", "pidfd_open", "pidfd_getfd"),
    *("pidfd_send_signal", "tkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo"),
    # parts of the kernel that such a process never needs
    *("unshare", "setns", "bpf", "perf_event_open", "userfaultfd", "keyctl", "add_key", "request_key"),
)


class _Condition(ctypes.Structure):
    """`scmp_arg_cmp`: an argument of a call, compared with a value, or with a value under a mask."""

    _fields_ = [
        ("argument", ctypes.c_uint),
        ("operator", ctypes.c_int),
        ("value", ctypes.c_uint64),
        ("masked", ctypes.c_uint64),
    ]


def _conditional() -> Iterable[tuple[str, int, _Condition]]:
    """(call, the error, when it is refused)."""
    own = os.getpid()
    yield "socket", errno.EPERM, _Condition(0, _NOT_EQUAL, socket.AF_UNIX, 0)
    yield "socket", errno.EPERM, _Condition(1, _MASKED_EQUAL, 0xF, socket.SOCK_DGRAM)  # sends without a connection
    yield "kill", errno.EPERM, _Condition(0, _NOT_EQUAL, own, 0)
    yield "tgkill", errno.EPERM, _Condition(0, _NOT_EQUAL, own, 0)
    yield "prlimit64", errno.EPERM, _Condition(0, _NOT_EQUAL, 0, 0)  # its own limits: libc asks for them
    yield "clone", errno.EPERM, _Condition(0, _MASKED_EQUAL, _CLONE_NEWUSER, _CLONE_NEWUSER)


def _filter_calls() -> bool:
    try:
        lib = ctypes.CDLL("libseccomp.so.2")
    except OSError:
        return False
    lib.seccomp_init.restype = ctypes.c_void_p
    rules = ctypes.c_void_p(lib.seccomp_init(_ALLOW))
    if not rules:
        return False
    try:
        complete = [_refuse(lib, rules, name, errno.EPERM) for name in _REFUSED]
        complete += [_refuse(lib, rules, "clone3", errno.ENOSYS)]  # its flags cannot be seen; libc then calls clone
        complete += [_refuse(lib, rules, name, error, condition) for name, error, condition in _conditional()]
        return bool(lib.seccomp_load(rules) == 0) and all(complete)
    finally:
        lib.seccomp_release(rules)


def _refuse(lib: ctypes.CDLL, rules: ctypes.c_void_p, name: str, error: int, *conditions: _Condition) -> bool:
    """Whether the call is refused, or one that this architecture or version does not have."""
    number = lib.seccomp_syscall_resolve_name(name.encode())
    if number < 0:
        return True
    given = (_Condition * len(conditions))(*conditions)
    added = lib.seccomp_rule_add_array(rules, ctypes.c_uint32(_REFUSE | error), number, len(conditions), given)
    return bool(added == 0)
