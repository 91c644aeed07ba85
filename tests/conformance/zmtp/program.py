"""What an app does with the thin client: run with the oldest pyzmq and msgspec that it may be installed with."""

import asyncio
import multiprocessing
import os
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import modelmesh

TEXT = "x" * (60 * 1024**2)


def ask(client, text):
    messages = [{"role": "user", "content": text}]
    return client.chat.completions.create(model="echo", messages=messages).choices[0].message.content


def works(client):
    text = f"process {os.getpid()}"
    assert ask(client, text).endswith(text)
    with ThreadPoolExecutor(8) as threads:
        texts = [f"{text}, call {number}" for number in range(32)]
        for sent, came in zip(texts, threads.map(lambda each: ask(client, each), texts), strict=True):
            assert came.endswith(sent)
    chunks = client.chat.completions.create(model="counting", messages=[], stream=True)
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert said.split() == [str(number) for number in range(200)]


async def works_with_asyncio(path):
    async with modelmesh.AsyncOpenAIClient(path) as client:
        calls = (client.chat.completions.create(model="echo", messages=[]) for _ in range(32))
        assert len(await asyncio.gather(*calls)) == 32


def in_child(path):
    works(modelmesh.OpenAIClient(path))


def main(path):
    client = modelmesh.OpenAIClient(path, max_retries=0)
    works(client)
    assert ask(client, TEXT).endswith(TEXT)
    chunks = client.chat.completions.create(model="large-chunks", messages=[], stream=True)
    assert sum(len(chunk.choices[0].delta.content or "") for chunk in chunks if chunk.choices) == 6 * 1024**2
    asyncio.run(works_with_asyncio(path))
    many = [modelmesh.OpenAIClient(path) for _ in range(100)]
    assert all(ask(each, "many").endswith("many") for each in many)
    warnings.simplefilter("ignore")  # of forks beside threads, which is what is tried
    for way in ("fork", "spawn"):
        children = [multiprocessing.get_context(way).Process(target=in_child, args=(path,)) for _ in range(2)]
        for child in children:
            child.start()
        works(client)
        for child in children:
            child.join(30)
            assert child.exitcode == 0, (way, child.exitcode)
    child = os.fork()
    if not child:
        works(client)  # the parent's
        os._exit(0)
    works(client)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


if __name__ == "__main__":
    main(sys.argv[1])
    print("done")
