"""OpenAI's SDK at a daemon that keeps responses, over HTTP and over the mesh socket."""

from __future__ import annotations

import hashlib
from typing import Any

import openai

import modelmesh
from tests.support.waiting import WAIT

ONE, TWO = "token-number-one", "token-number-two"
TOKENS = [{"app": "editor", "hash": hashlib.sha256(token.encode()).hexdigest()} for token in (ONE, TWO)]
PROXY = {"enabled": True, "port": "auto", "auth": {"tokens": TOKENS}}


def over_http(daemon: Any, key: str = "none") -> openai.OpenAI:
    url = daemon.status()["http"]["addresses"][0]
    return openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=WAIT)


def over_socket(daemon: Any) -> openai.OpenAI:
    made: openai.OpenAI = modelmesh.openai_client(socket=str(daemon.socket), max_retries=0, timeout=WAIT)
    return made


def said(client: openai.OpenAI, id: str) -> list[tuple[str, str]]:
    """(role, text) of a response's input."""
    items: Any = client.responses.input_items.list(id, order="asc")
    return [(item.role, item.content[0].text) for item in items]
