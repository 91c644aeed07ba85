"""Redis and PostgreSQL that let in only who has a password or a certificate, over TLS."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.support.network.certificates import Authority
from tests.support.network.ports import free_port
from tests.support.storages.servers import Postgresql, Redis


class _Guarded:
    """authority: of its own certificate, and of those that clients need. port: where it is reached by TLS."""

    def __init__(self, authority: Authority) -> None:
        self.authority = authority
        self.port = free_port()
        self._certificate = authority.issue("localhost")
        self._client_certificate = authority.issue("client")
        super().__init__()

    def _files(self) -> dict[str, str]:
        """What a client is configured with."""
        cert, key = map(str, self._client_certificate)
        return {"ca_file": str(self.authority.certificate), "cert_file": cert, "key_file": key}


class GuardedRedis(_Guarded, Redis):
    """On a port by TLS, where clients need a certificate of `authority`; and on its socket for the test. The user
    `mesh` may use the names that begin with `{meshd}` only."""

    def command(self) -> Sequence[str]:
        cert, key = map(str, self._certificate)
        tls = ("--tls-port", str(self.port), "--tls-cert-file", cert, "--tls-key-file", key)
        return (*super().command(), *tls, "--tls-ca-cert-file", str(self.authority.certificate))

    def allow(self, *passwords: str) -> None:
        """These and no others; whoever is connected stays so until `disconnect`."""
        with self.client() as client:
            rules = (
                "reset",
                "on",
                "~{meshd}:*",
                "+@all",
                "-@admin",
                "-@dangerous",
                "+info",
                *(f">{password}" for password in passwords),
            )
            client.execute_command("ACL", "SETUSER", "mesh", *rules)

    def disconnect(self) -> None:
        with self.client() as client:
            client.execute_command("CLIENT", "KILL", "USER", "mesh")

    def guarded(self, password: str, **more: Any) -> dict[str, Any]:
        return {
            "url": f"rediss://localhost:{self.port}/0",
            "username": "mesh",
            "password": password,
            **self._files(),
            **more,
        }


class GuardedPostgresql(_Guarded, Postgresql):
    """The same: by TLS on a port, with a password and a certificate; and on its socket for the test."""

    def command(self) -> Sequence[str]:
        # Its files have to be those of the user it runs as.
        mine = [Path(shutil.copy(path, self.directory)) for path in (*self._certificate, self.authority.certificate)]
        for path in mine:
            path.chmod(0o600)
            if os.geteuid() == 0:
                shutil.chown(path, "nobody")
        cert, key, ca = map(str, mine)
        hba = self.directory / "hba"
        hba.write_text("local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256 clientcert=verify-ca\n")
        hba.chmod(0o644)
        options = {
            "listen_addresses": "127.0.0.1", "port": str(self.port), "ssl": "on", "ssl_cert_file": cert,
            "ssl_key_file": key, "ssl_ca_file": ca, "hba_file": str(hba),
        }  # fmt: skip
        return (*super().command(), *(word for name, value in options.items() for word in ("-c", f"{name}={value}")))

    def client(self) -> Any:
        import psycopg

        return psycopg.connect(f"{self.url} port={self.port}", autocommit=True)

    def answers(self) -> bool:
        import psycopg

        try:
            self.client().close()
        except psycopg.OperationalError:
            return False
        return True

    def allow(self, password: str) -> None:
        with self.client() as client:
            client.execute(f"ALTER USER mesh PASSWORD '{password}'")

    def disconnect(self) -> None:
        with self.client() as client:
            client.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'meshd'")

    def guarded(self, password: str, **more: Any) -> dict[str, Any]:
        return {
            "url": f"postgresql://mesh@localhost:{self.port}/postgres?sslmode=verify-full",
            "password": password,
            **self._files(),
            **more,
        }
