"""A client process that can be stopped: asks as many times at once as told, and says what came as a line of JSON.

python asking.py SOCKET HOW TIMEOUT REQUESTS: HOW is stream or unary, sync or async: `async-stream`.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
from typing import Any

from modelmesh import AsyncOpenAIClient, OpenAIClient

MESSAGES: Any = [{"role": "user", "content": "hi"}]


def say(what: Any) -> None:
    os.write(1, json.dumps(what).encode() + b"\n")  # whole, though several threads say something


def text_of(part: Any) -> str:
    return "".join(choice.delta.content or "" for choice in part.choices)


async def asynchronous(socket: str, stream: bool, timeout: float, requests: int) -> list[str]:
    async with AsyncOpenAIClient(socket, timeout=timeout, max_retries=0) as client:

        async def one() -> str:
            try:
                if not stream:
                    answer: Any = await client.chat.completions.create(model="chat-completion", messages=MESSAGES)
                    return str(answer.choices[0].message.content)
                parts: Any = await client.chat.completions.create(
                    model="chat-completion", messages=MESSAGES, stream=True
                )
                text = ""
                async for part in parts:
                    if not text:
                        say("begun")
                    text += text_of(part)
                return text
            except Exception as error:
                return f"{type(error).__name__}: {error}"

        return list(await asyncio.gather(*(one() for _ in range(requests))))


def synchronous(socket: str, stream: bool, timeout: float, requests: int) -> list[str]:
    came: list[str] = []
    with OpenAIClient(socket, timeout=timeout, max_retries=0) as client:

        def one() -> None:
            try:
                if not stream:
                    answer: Any = client.chat.completions.create(model="chat-completion", messages=MESSAGES)
                    came.append(str(answer.choices[0].message.content))
                    return
                text = ""
                for part in client.chat.completions.create(model="chat-completion", messages=MESSAGES, stream=True):
                    if not text:
                        say("begun")
                    text += text_of(part)
                came.append(text)
            except Exception as error:
                came.append(f"{type(error).__name__}: {error}")

        threads = [threading.Thread(target=one) for _ in range(requests)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return came


def main() -> None:
    socket, how, timeout, requests = sys.argv[1:]
    ask = asynchronous if how.startswith("async") else synchronous
    given = socket, how.endswith("stream"), float(timeout), int(requests)
    say("asking")
    say(ask(*given) if ask is synchronous else asyncio.run(asynchronous(*given)))


if __name__ == "__main__":
    main()
