"""What is said where the daemon's packages are not installed, as beside the client alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from meshd.host.installing import how_to_install

USES = ["from meshd import ModelMesh", "from meshd.host.process.start import daemon; daemon()"]
LACKING = "import sys; sys.modules['pykka'] = None; sys.argv = ['meshd']; "


@pytest.mark.parametrize("use", USES)
def test_a_missing_package_is_told_with_what_to_install(use: str) -> None:
    done = subprocess.run([sys.executable, "-c", LACKING + use], capture_output=True, text=True, timeout=40)
    assert done.returncode != 0
    assert f"install it with: {how_to_install('daemon')}" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr or "ModelMesh" in use


INTERRUPTED = """
import os, signal, sys

class Interrupt:
    def find_spec(self, name, *_):
        if name in ("meshd.cli.entry", "meshd.app.main"):
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupt())
from meshd.host.process import start
start.%s()
"""


@pytest.mark.parametrize("program", ["command", "daemon"])
def test_ctrl_c_during_the_imports_is_quiet(program: str) -> None:
    done = subprocess.run([sys.executable, "-c", INTERRUPTED % program, "--help"], capture_output=True, timeout=40)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, b"", b"")


def test_a_pydantic_that_looks_for_more_than_plugins_gets_it() -> None:
    code = """
import sys
from meshd.host.process import start
try:
    start.daemon()
except SystemExit:
    pass
assert "importlib.metadata" not in sys.modules
from pydantic.plugin._loader import PYDANTIC_ENTRY_POINT_GROUP, get_plugins
print(PYDANTIC_ENTRY_POINT_GROUP)
"""
    argv = (sys.executable, "-c", code, "--check", "--config", os.devnull)
    ran = subprocess.run(argv, capture_output=True, text=True, timeout=40)
    assert ran.stdout.endswith("pydantic\n"), ran.stderr
