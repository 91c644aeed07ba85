"""The mark of compiled classes that interpreted code extends, as plug-ins and tests do."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_extensions import mypyc_attr
else:  # mypy_extensions is needed to compile, not to run

    def mypyc_attr(**_):
        return lambda extended: extended


__all__ = ["mypyc_attr"]
