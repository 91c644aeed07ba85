"""What a test asks an embedded mesh."""

from __future__ import annotations

MEMORY = {"storage": {"connector": "modelmesh.memory.v1"}}
HELLO = {"messages": [{"role": "user", "content": "hello"}]}


def hello(mesh, model="chat"):
    with mesh.get_client(timeout=10, max_retries=0) as client:
        return client.chat.completions.create(model=model, **HELLO)
