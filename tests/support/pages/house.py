"""The daemon that the snippets of reference and explanations speak of, with everything that they name.

Owns: its configuration, the provider `openai` with every operation, and the files in its user's home.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.support.providers.media_server import PICTURE, MediaServer, Sent
from tests.support.providers.services.documents import UNSTRUCTURED
from tests.support.providers.services.searches import SEARCHES
from tests.support.providers.services.server import KEY, ServicesServer
from tests.support.providers.services.texts import TEXTS
from tests.support.providers.vendors.six_apis import SixApis
from tests.support.providers.vendors.three_apis import Asked, Said

OPENAI_KEY = "sk-test-0123456789abcdef"
_CHATS = {"capabilities": ["chat-completion"], "constraints": {"context_window": 400_000}}
CHAT = {"model": "chat-completion", "messages": [{"role": "user", "content": "Say hello"}]}


class OpenAi(MediaServer):
    """All of OpenAI's operations. A request for `slow` is not answered."""

    def __init__(self) -> None:
        super().__init__()
        self._chats = SixApis()
        self._chats.answer = Said("Hello there", tokens_in=11, tokens_out=5)

    def application(self) -> web.Application:
        app = super().application()
        app.router.add_get("/v1/models", self._models)
        return app

    def routes(self) -> dict[str, Any]:
        return {
            **super().routes(),
            "chat/completions": self._chat,
            "embeddings": self._embeddings,
        }

    async def _models(self, http: web.Request) -> web.StreamResponse:
        return web.json_response({"object": "list", "data": [{"id": "gpt-5.4", "object": "model"}]})

    async def _chat(self, http: web.Request, sent: Sent) -> web.StreamResponse:
        if sent.fields["model"] == "slow":
            await self._stopped.wait()
        status, headers, pieces, _ = self._chats.respond(Asked("/v1/chat/completions", {}, sent.body))
        return web.Response(
            status=status, headers={"content-type": "application/json"} | headers, body=b"".join(pieces)
        )

    async def _embeddings(self, http: web.Request, sent: Sent) -> web.StreamResponse:
        row = {"object": "embedding", "index": 0, "embedding": [0.1, 0.2]}
        return web.json_response({"object": "list", "data": [row], "usage": {"prompt_tokens": 3, "total_tokens": 3}})


class House:
    """services: searches, translations and documents."""

    def __init__(self) -> None:
        self.openai = OpenAi()
        self.openai.start()
        self.services = ServicesServer(*SEARCHES, *TEXTS, UNSTRUCTURED)

    def close(self) -> None:
        self.openai.stop()
        self.services.close()

    def config(self, keys: Path) -> dict[str, Any]:
        """keys: a folder for the secrets."""
        services = {"tavily": "tavily.search.v1", "deepl": "deepl.translation.v1"}
        services["unstructured"] = "unstructured.doc-parse.v1"
        (keys / "keys.env").write_text(f"OPENAI_API_KEY={OPENAI_KEY}\nOLD_API_KEY={OPENAI_KEY}\n")
        (keys / "passphrase").write_text("correct horse battery staple\n")
        for file in keys.iterdir():
            file.chmod(0o600)
        encrypted = {"connector": "modelmesh.encrypted-file.v1", "path": str(keys / "keys.enc")}
        return {
            "secrets": {
                "store": [
                    {"connector": "modelmesh.dotenv.v1", "path": str(keys / "keys.env")},
                    {**encrypted, "passphrase_file": str(keys / "passphrase")},
                ]
            },
            "providers": {
                "openai": {
                    "base_url": self.openai.url,
                    "api_key": "${secrets:OPENAI_API_KEY}",
                    "budget": {"daily_limit": 5, "enforce": False},
                },
                **{
                    name: {"connector": id, "base_url": self.services.url(name), "api_key": KEY}
                    for name, id in services.items()
                },
            },
            "models": {
                "openai.gpt-5.4": {**_CHATS, "features": {"tool_calling": True}},
                "openai.gpt-5.4-mini": _CHATS,
                "openai.slow": _CHATS,
                "openai.text-embedding-3-small": {"capabilities": ["text-embeddings"]},
                "openai.gpt-4o-mini-tts": {"capabilities": ["text-to-speech"]},
                "openai.whisper-1": {"capabilities": ["speech-to-text"]},
                "openai.pictures": {"capabilities": ["text-to-image", "image-to-image"]},
            },
            "pools": {
                "chat-completion": {"models": ["openai.gpt-5.4", "openai.gpt-5.4-mini"]},
                "never": {"models": ["openai.slow"]},
            },
            "apps": {
                name: {"match": {"exe": f"/usr/bin/{name}"}, "pools": ["chat-completion"]}
                for name in ("mail", "editor", "mail.service")
            },
            "proxy": {"enabled": True, "port": "auto"},
            "discovery": {"local": {"enabled": False}, "health": {"enabled": False}},
        }


def furnish(home: Path) -> None:
    """The files that the snippets read."""
    sound, picture, text = b"ID3" + bytes(300), PICTURE.encode(), b"The cat sat on the mat."
    lines = [{"custom_id": name, "method": "POST", "url": "/v1/chat/completions", "body": CHAT} for name in ("a", "b")]
    files = {
        **dict.fromkeys(("a.mp3", "a.m4a", "a.ogg", "talk.m4a"), sound),
        **dict.fromkeys(("street.jpg", "scan.png"), picture),
        **dict.fromkeys(("a.txt", "letter.txt", "page.txt"), text),
        "report.pdf": b"%PDF-1.4\n" + text,
        "lines.jsonl": "\n".join(map(json.dumps, lines)).encode(),
        "slow.jsonl": json.dumps({**lines[0], "body": {**CHAT, "model": "never"}}).encode(),
        ".env": f"GROQ_API_KEY={KEY}\n".encode(),
        "config.yaml": b"model_list:\n- {model_name: gpt, litellm_params: {model: openai/gpt-5.4}}\n",
        "mesh.yaml": b"providers:\n  try: {connector: modelmesh.scripted.v1, script: [{embedding: 2}]}\n"
        b"models:\n  try.one: {provider: try, capabilities: [text-embeddings]}\n",
    }
    for name, content in files.items():
        (home / name).write_bytes(content)
        (home / name).chmod(0o600)
