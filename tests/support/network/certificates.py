"""Certificates for servers of tests."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path


def certificate(directory: Path, name: str) -> tuple[Path, Path]:
    """A new certificate of localhost, and its key."""
    cert, key = directory / f"{name}.pem", directory / f"{name}.key"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)),
        ],
        check=True,
        capture_output=True,
    )
    return cert, key


@dataclass
class Authority:
    """One of its own, in a directory. certificate: its own, for those who trust it."""

    directory: Path

    def __post_init__(self) -> None:
        self.certificate, self._key = certificate(self.directory, "ca")

    def issue(self, name: str) -> tuple[Path, Path]:
        """A certificate that it has signed, and its key. name: its owner, or `localhost`."""
        cert, key, request, more = (self.directory / f"{name}.{end}" for end in ("pem", "key", "csr", "ext"))
        new = ("-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout", str(key), "-out", str(request))
        more.write_text(f"subjectAltName=DNS:{name}")
        signing = ("-CA", str(self.certificate), "-CAkey", str(self._key), "-days", "2", "-extfile", str(more))
        for command in (
            ("openssl", "req", *new),
            (
                "openssl",
                "x509",
                "-req",
                "-in",
                str(request),
                *signing,
                "-set_serial",
                f"{hash(name) & 0xFFFF}",
                "-out",
                str(cert),
            ),
        ):
            subprocess.run(command, check=True, capture_output=True)
        return cert, key
