"""A program that asks many things at once: `python queueing_app.py SOCKET MODEL HOW_MANY`.

It says "ready" when it is connected, begins at a line on its standard input, and writes a line of JSON for each request
as it ends: `number`, `at` (monotonic s, one clock for all processes), `took` (s), `status`.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

from modelmesh import AsyncOpenAIClient, MeshError


async def ask(client: AsyncOpenAIClient, model: str, number: int) -> None:
    began, status = time.monotonic(), 200
    try:
        await client.chat.completions.create(model=model, messages=[{"role": "user", "content": str(number)}])
    except MeshError as error:
        status = error.status_code
    now = time.monotonic()
    print(json.dumps({"number": number, "at": now, "took": now - began, "status": status}), flush=True)


async def main(socket: str, model: str, how_many: int) -> None:
    async with AsyncOpenAIClient(socket, timeout=300, max_retries=0) as client:
        await client.models.list()
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        await asyncio.gather(*(ask(client, model, number) for number in range(how_many)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
