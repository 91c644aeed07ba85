"""Addresses that are none, wherever one is expected: a problem in words, never an exception."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from meshd.compilation.before_start import preflight
from meshd.config import MeshConfig
from meshd.config.advice import remarks

ODD = (
    "https://[::1", "https://[", "https://a]b", "https://[::1]x/", "http://h:99999", "http://h:x", "http://h:-1",
    "//", "://", "https://", "https:///p", "http://\u2028h", "http://h\u2100", "http://[fe80::1%eth0]", "\x00", " ",
    "unix:", "unix://", "https://u:p@[::1", "https://" + "h" * 300, "javascript:1", "http://\ud800",
)  # fmt: skip

PLACES: dict[str, dict[str, Any]] = {
    "hosted": {"providers": {"openai": {"api_key": "k", "base_url": None}}},
    "own": {"providers": {"p": {"connector": "openai-compatible.v1", "api_key": "k", "base_url": None}}},
    "local": {"providers": {"ollama": {"base_url": None}}},
    "token": {"providers": {"p": {"connector": "openai-compatible.v1", "base_url": "http://h/v1",
              "auth": {"method": "oauth", "client_id": "i", "client_secret": "s", "token_url": None}}}},
    "redis": {"storage": {"connector": "redis.redis.v1", "url": None}},
    "postgresql": {"storage": {"connector": "postgresql.postgresql.v1", "url": None}},
    "s3": {"storage": {"connector": "aws.s3.v1", "bucket": "b", "endpoint_url": None}},
    "drive": {"storage": {"connector": "google.drive.v1", "endpoint_url": None}},
    "webhook": {"observability": {"logging": {"connector": "modelmesh.webhook.v1", "url": None}}},
    "otlp": {"observability": {"tracing": {"connector": "modelmesh.otlp.v1", "endpoint": None}}},
    "syslog": {"observability": {"logging": {"connector": "modelmesh.syslog.v1", "address": None}}},
    "vault": {"secrets": {"store": {"connector": "hashicorp.vault.v1", "vault_url": None, "token": "t"}}},
    "1password": {"secrets": {"store": {"connector": "1password.connect.v1", "connect_url": None, "vault": "v"}}},
    "azure": {"secrets": {"store": {"connector": "azure.key-vault.v1", "vault_url": None}}},
    "listen": {"daemon": {"listen": [None]}},
    "http": {"proxy": {"listen": [None]}},
    "package": {"connectors": {"packages": [{"url": None, "sha256": "0" * 64}]}},
}  # fmt: skip


def put(value: Any, address: str) -> Any:
    if isinstance(value, dict):
        return {key: put(item, address) for key, item in value.items()}
    if isinstance(value, list):
        return [put(item, address) for item in value]
    return address if value is None else value


@pytest.mark.parametrize("address", ODD)
@pytest.mark.parametrize("place", PLACES)
def test_it_is_told_in_words(tmp_path: Path, place: str, address: str) -> None:
    where = {"daemon": {"state_dir": str(tmp_path / "state"), "socket": str(tmp_path / "m.sock")}}
    config = MeshConfig(where, environ={}).merge(put(PLACES[place], address))
    problems = config.validate()
    for problem in problems:
        assert "Traceback" not in str(problem)
    if not problems:
        for obstacle in preflight.obstacles(config):
            assert obstacle.message
        list(remarks(config, {}))
