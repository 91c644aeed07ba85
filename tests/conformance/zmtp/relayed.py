"""Sockets of ZeroMQ libraries that others wrote, each in a process of its own."""

from __future__ import annotations

import queue
import subprocess
import threading
from pathlib import Path
from typing import Any

from tests.conformance.install import directory
from tests.support.waiting import WAIT

HERE = Path(__file__).parent
LIBRARIES = {"pyzmq-oldest": ("SNDHWM", "RCVHWM"), "zeromq-js": ("sendHighWaterMark", "receiveHighWaterMark")}
"""Of `packages.toml`, and what each calls the options."""
KEYS = {
    "pyzmq-oldest": ("CURVE_SERVERKEY", "CURVE_PUBLICKEY", "CURVE_SECRETKEY"),
    "zeromq-js": ("curveServerKey", "curvePublicKey", "curveSecretKey"),
}


class Relayed:
    """As much of a zmq socket as `Line` uses. path: or a `tcp://` address. hwm: of both directions, or 0. keys: of
    CURVE, as `KEYS` lists them."""

    def __init__(self, library: str, path: Any, kind: str, hwm: int, keys: tuple[str, ...] = ()) -> None:
        place = directory(library)
        javascript = library == "zeromq-js"
        program = ["node", HERE / "relay.js"] if javascript else [place / "bin" / "python", HERE / "relay.py"]
        options = [f"{name}={hwm}" for name in LIBRARIES[library]]
        options += [f"{name}={key}" for name, key in zip(KEYS[library], keys, strict=False)]
        address = path if str(path).startswith("tcp://") else f"ipc://{path}"
        self._process = subprocess.Popen(
            [*program, address, kind, *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={"NODE_PATH": str(place / "node_modules"), "PATH": "/usr/local/bin:/usr/bin:/bin"},
        )
        self._received: queue.Queue[list[bytes]] = queue.Queue()
        self._next: list[bytes] | None = None
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def send_multipart(self, frames: list[bytes]) -> None:
        parts = [len(frames).to_bytes(4)]
        for frame in frames:
            parts += [len(frame).to_bytes(4), frame]
        assert self._process.stdin is not None
        self._process.stdin.write(b"".join(parts))
        self._process.stdin.flush()

    def recv_multipart(self) -> list[bytes]:
        assert self.poll(WAIT * 1000), "nothing came"
        found, self._next = self._next, None
        assert found is not None
        return found

    def poll(self, milliseconds: float) -> bool:
        if self._next is None:
            try:
                self._next = self._received.get(timeout=milliseconds / 1000)
            except queue.Empty:
                return False
        return True

    def close(self, linger: int = 0) -> None:
        self._process.kill()
        self._process.wait(WAIT)
        self._reading.join(WAIT)
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()

    def _read(self) -> None:
        output = self._process.stdout
        assert output is not None
        while count := output.read(4):
            frames = [output.read(int.from_bytes(output.read(4))) for _ in range(int.from_bytes(count))]
            self._received.put(frames)
