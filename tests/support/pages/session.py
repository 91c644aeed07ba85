"""A reader who does what a page says, in a home directory and on a machine of their own."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.pages.blocks import Step, missing
from tests.support.pages.machine import ROOT, certificates
from tests.support.waiting import WAIT

_ELSEWHERE = {  # first word of a command → where it is tried
    "sudo": "tests/integration/systemd",
    "pipx": "tests/integration/packages",
    "make": "continuous integration",
    "apt-get": "tests/integration/packages",
}
_UNTIL_IT_ANSWERS = "until meshctl status >/dev/null 2>&1; do kill -0 %% || { cat *.log; exit 1; }; sleep 0.1; done"


@contextmanager
def reading(directory: Path) -> Iterator[Session]:
    """Skips where no other network can be made, which needs root."""
    probe = subprocess.run(["unshare", "--net", "--mount", "true"], capture_output=True, check=False)
    if probe.returncode:
        pytest.skip("needs root, for a network of its own")
    home = directory / "home"
    home.mkdir()
    cert, _ = certificates(directory)
    environ = {
        "HOME": str(home),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": f"{ROOT}:{ROOT / 'client'}",
        "LANG": "C.UTF-8",
        "SSL_CERT_FILE": str(cert),
        "XDG_RUNTIME_DIR": str(directory / "run"),
        "COLUMNS": "120",
    }
    (directory / "run").mkdir(mode=0o700)
    shell = subprocess.Popen(
        ["unshare", "--net", "--mount", sys.executable, "-m", "tests.support.pages.machine", str(directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environ,
        cwd=home,
        start_new_session=True,
    )
    try:
        yield Session(shell, home)
    finally:
        os.killpg(shell.pid, signal.SIGTERM)
        try:
            shell.wait(WAIT)
        except subprocess.TimeoutExpired:
            os.killpg(shell.pid, signal.SIGKILL)
            shell.wait()


class Session:
    def __init__(self, shell: subprocess.Popen[bytes], home: Path) -> None:
        self._shell = shell
        self._home = home

    def follow(self, step: Step) -> None:
        where = f"line {step.line}"
        if step.file:
            self._save(step)
        elif step.kind == "python":
            self._succeeds(where, f"python - <<'PROGRAM'\n{step.text}\nPROGRAM")
        elif step.text.split()[0] not in _ELSEWHERE:
            output = self._succeeds(where, re.sub(r"=(g?sk)[-_]\.\.\.", r"=\1-0123456789abcdef0123", step.text))
            lacking = missing(step.printed, output)
            assert lacking is None, f"{where}: {step.text}\nprints no {lacking!r} but:\n{output}"
            if step.text.startswith("meshd ") and step.text.rstrip().endswith("&"):
                self._succeeds(where, _UNTIL_IT_ANSWERS)

    def _save(self, step: Step) -> None:
        path = Path(step.file.replace("~", str(self._home)))
        path = path if path.is_absolute() else self._home / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(step.text, encoding="utf-8")

    def _succeeds(self, where: str, command: str) -> str:
        status, output = self.run(command)
        assert status == 0, f"{where}: {command}\nends with {status}:\n{output}"
        return output

    def run(self, command: str) -> tuple[int, str]:
        """Its exit status, and what it printed. The standard input of what it starts is empty."""
        mark = f"-- {uuid.uuid4().hex} "
        line, out = self._shell.stdin, self._shell.stdout
        assert line is not None
        assert out is not None
        line.write(f'{{ {command}\n}} </dev/null\necho "{mark}$?"\n'.encode())
        line.flush()
        said, deadline = b"", time.monotonic() + 2 * WAIT
        while mark.encode() not in said or not said.rpartition(mark.encode())[2].endswith(b"\n"):
            ready, _, _ = select.select([out], [], [], max(0.0, deadline - time.monotonic()))
            data = os.read(out.fileno(), 65536) if ready else b""
            assert data, f"{command}\ndoes not end, and printed:\n{said.decode(errors='replace')}"
            said += data
        output, _, status = said.decode(errors="replace").rpartition(mark)
        return int(status), output
