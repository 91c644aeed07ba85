"""`meshctl pull` that is interrupted."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

from tests.support.providers.servers.weights_server import WeightsServer
from tests.support.waiting import until


def test_an_interrupted_download_says_how_to_continue_it(tmp_path: Path) -> None:
    server = WeightsServer()
    server.cuts = [1000] * 100  # so that it is tried again, after a wait
    threading.Thread(target=server.serve_forever, daemon=True).start()
    command = [sys.executable, "-m", "meshd.cli", "pull", server.url, "--unverified", "--dir", str(tmp_path)]
    pull = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        until(lambda: server.asked, 30, "the download")
        pull.send_signal(signal.SIGINT)
        said, error = pull.communicate(timeout=30)
    finally:
        pull.kill()
        pull.wait()
        server.shutdown()
        server.server_close()
    assert (pull.returncode, said) == (130, "")
    assert "the same command continues the download" in error
    assert "Traceback" not in error
