"""A machine of its own for the commands of a page: no network but loopback, on which the providers of the world answer.

Run as `unshare --net --mount python -m tests.support.pages.machine DIRECTORY`: a hosts file says 127.0.0.1 for the
names of providers, and a server with DIRECTORY's certificate answers there in each one's wire format. Beside it runs a
shell that reads commands.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import socket
import ssl
import struct
import subprocess
import sys
import tomllib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.support.providers.vendors.six_apis import SixApis
from tests.support.providers.vendors.three_apis import Asked, Said

ROOT = Path(__file__).parents[3]
_UP = 0x1 | 0x40  # IFF_UP, IFF_RUNNING


def hosts() -> list[str]:
    """Of every provider in the catalogue."""
    rows = tomllib.loads((ROOT / "meshd/catalogue/providers.toml").read_text(encoding="utf-8"))
    names = {urlsplit(address).hostname or "" for address in _addresses(rows)}
    return sorted(name for name in names if re.fullmatch(r"[a-z0-9.-]+\.[a-z]+", name))


def _addresses(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [address for below in value.values() for address in _addresses(below)]
    if isinstance(value, list):
        return [address for below in value for address in _addresses(below)]
    return [value] if isinstance(value, str) and value.startswith("https://") else []


def certificates(directory: Path) -> tuple[Path, Path]:
    """Of a server that has all the names, signed by itself: also its own authority."""
    cert, key = directory / "world.pem", directory / "world.key"
    names = ",".join(f"DNS:{name}" for name in hosts())
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-days", "2", "-subj", "/CN=providers", "-addext", f"subjectAltName={names}"),
            *("-keyout", str(key), "-out", str(cert)),
        ],
        check=True,
        capture_output=True,
    )
    return cert, key


def _raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        fcntl.ioctl(line, 0x8914, struct.pack("16sh14x", b"lo", _UP))  # SIOCSIFFLAGS


class World(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    apis = SixApis()

    def _answer(self) -> None:
        raw = self.rfile.read(int(self.headers.get("content-length") or 0))
        path = re.sub(r"^(?:/[a-z]+)*(?=/v\d)", "", self.path)  # some have a folder before it
        asked = Asked(path, {name.lower(): value for name, value in self.headers.items()}, raw)
        if path.endswith("/embeddings"):
            rows = [{"index": 0, "object": "embedding", "embedding": [0.1, 0.2]}]
            status, headers, pieces = 200, {}, [json.dumps({"data": rows, "model": "e"}).encode()]
        else:
            status, headers, pieces, _ = self.apis.respond(asked)
        self.send_response(status)
        for name, value in {"content-type": "application/json", **headers}.items():
            self.send_header(name, str(value))
        self.send_header("content-length", str(sum(map(len, pieces))))
        self.end_headers()
        for piece in pieces:
            self.wfile.write(piece)

    do_GET = do_POST = _answer

    def log_message(self, *_: Any) -> None:
        """Nothing is printed."""


def main(directory: Path) -> None:
    _raise_loopback()
    names = directory / "hosts"
    names.write_text("127.0.0.1 localhost\n" + "".join(f"127.0.0.1 {name}\n" for name in hosts()))
    subprocess.run(["mount", "--bind", str(names), "/etc/hosts"], check=True)
    World.apis.answer = Said("Hello there", tokens_in=11, tokens_out=5)
    server = ThreadingHTTPServer(("127.0.0.1", 443), World)
    server.daemon_threads = True
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "world.pem", directory / "world.key")
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    shell = os.fork()
    if shell == 0:
        os.execvp("bash", ["bash", "--norc", "--noprofile"])
    import threading

    threading.Thread(target=server.serve_forever, daemon=True).start()
    os.waitpid(shell, 0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
