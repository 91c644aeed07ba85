"""Counts what a thread does: function calls, C's too, and bytecodes. Neither depends on how busy a machine is.

Run as a program it is the daemon, and writes what its router's thread did to the file that `MESHD_BENCH_COUNTS` names.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.machinery import SOURCE_SUFFIXES, FileFinder, SourceFileLoader
from pathlib import Path
from types import FrameType
from typing import Any

FILE = "MESHD_BENCH_COUNTS"


@dataclass
class Steps:
    calls: int = 0
    bytecodes: int = 0


@contextmanager
def counted() -> Iterator[Steps]:
    """What this thread does in the meantime."""
    steps = Steps()

    def trace(frame: FrameType, event: str, arg: Any) -> Any:
        if event == "opcode":
            steps.bytecodes += 1
        elif event == "call":
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return trace

    def profile(frame: FrameType, event: str, arg: Any) -> None:
        if event in ("call", "c_call"):
            steps.calls += 1

    sys.setprofile(profile)
    sys.settrace(trace)
    try:
        yield steps
    finally:
        sys.settrace(None)
        sys.setprofile(None)


def _interpreted() -> None:
    """Import our modules from their sources: the compiled ones that may be beside them have no bytecodes to count."""
    ours = str(Path(__file__).parents[3] / "meshd")
    sources = FileFinder.path_hook((SourceFileLoader, SOURCE_SUFFIXES))

    def of_sources(path: str) -> Any:
        if not path.startswith(ours):
            raise ImportError
        return sources(path)

    sys.path_hooks.insert(0, of_sources)


def _main() -> None:
    _interpreted()
    from meshd import mesh
    from meshd.actors.router import RouterActor
    from meshd.app.main import main

    class Counted(RouterActor):
        def _actor_loop_running(self) -> None:
            with counted() as steps:
                super()._actor_loop_running()
            Path(os.environ[FILE]).write_text(json.dumps(vars(steps)))

    mesh.RouterActor = Counted
    sys.exit(main())


if __name__ == "__main__":
    _main()
