"""A process on a kernel, or in a container, that lacks something: a filter of system calls refuses it."""

from __future__ import annotations

import ctypes
import errno
import functools
from collections.abc import Callable

import pytest

ABSENT = {
    "Landlock": [("landlock_create_ruleset", errno.ENOSYS)],
    "Landlock, switched off at boot": [("landlock_create_ruleset", errno.EOPNOTSUPP)],
    "rules of Landlock": [("landlock_add_rule", errno.EPERM)],
    "Landlock for itself": [("landlock_restrict_self", errno.EPERM)],
    "namespaces": [("unshare", errno.EPERM)],
    "namespaces, all in use": [("unshare", errno.ENOSPC)],
    "seccomp": [("seccomp", errno.ENOSYS), ("prctl", errno.EINVAL)],
}
_PR_SET_SECCOMP, _EQUAL = 22, 4
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000


class _Argument(ctypes.Structure):
    _fields_ = [
        ("number", ctypes.c_uint),
        ("operator", ctypes.c_int),
        ("value", ctypes.c_uint64),
        ("masked", ctypes.c_uint64),
    ]


def without(*absent: str) -> Callable[[], None]:
    """A `preexec_fn` after which the process and its children lack these of `ABSENT`. Skips where it cannot be done."""
    try:
        lib = ctypes.CDLL("libseccomp.so.2")
    except OSError:
        pytest.skip("needs libseccomp")
    lib.seccomp_init.restype = ctypes.c_void_p
    rules = ctypes.c_void_p(lib.seccomp_init(_ALLOW))
    for name, error in (call for each in absent for call in ABSENT[each]):
        number = lib.seccomp_syscall_resolve_name(name.encode())
        given = [_Argument(0, _EQUAL, _PR_SET_SECCOMP, 0)] if name == "prctl" else []
        array = (_Argument * len(given))(*given)
        assert lib.seccomp_rule_add_array(rules, ctypes.c_uint32(_REFUSE | error), number, len(given), array) == 0, name
    return functools.partial(_load, lib, rules)


def _load(lib: ctypes.CDLL, rules: ctypes.c_void_p) -> None:
    if lib.seccomp_load(rules) != 0:
        raise OSError("the filter is not loaded")
