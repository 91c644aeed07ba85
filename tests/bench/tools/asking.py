"""Round trips of a client that spins before it sleeps, or does not: `python -m … spinning|asleep SOCKET URL` prints the
seconds of one through the mesh, and of one by the OpenAI SDK.
"""

from __future__ import annotations

import os
import statistics
import sys

from tests.bench.tools.figures import p50

MESSAGES = [{"role": "user", "content": "Hello"}]


def main(how: str, path: str, url: str) -> None:
    cores = os.sched_getaffinity(0)
    if how == "asleep":  # a client that starts with a single core never spins
        os.sched_setaffinity(0, {min(cores)})
    from modelmesh import OpenAIClient

    os.sched_setaffinity(0, cores)
    import openai

    mesh, direct = OpenAIClient(path), openai.OpenAI(base_url=url, api_key="none")
    through, straight = [], []
    for _ in range(5):
        through.append(p50(lambda: mesh.chat.completions.create(model="chat", messages=MESSAGES), 500, 50))
        straight.append(p50(lambda: direct.chat.completions.create(model="m1", messages=MESSAGES), 500, 50))
    mesh.close()
    print(statistics.median(through), statistics.median(straight))


if __name__ == "__main__":
    main(*sys.argv[1:])
