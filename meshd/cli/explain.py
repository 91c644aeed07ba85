"""`meshctl explain`: why which model would answer, stage by stage, without asking it.

Must never: send anything to a provider.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

import typer

from meshd.cli import daemon, names
from meshd.cli import output as out

app = typer.Typer()

_WORD = "word "  # about one token


class Operation(StrEnum):
    chat = "chat"
    completion = "completion"
    embeddings = "embeddings"


_PATHS = {
    Operation.chat: "/v1/chat/completions",
    Operation.completion: "/v1/completions",
    Operation.embeddings: "/v1/embeddings",
}


@app.command(rich_help_panel=out.LOOK)
def explain(
    model: Annotated[
        str,
        typer.Argument(
            help="A pool, capability or model, as an app would write it.", autocompletion=names.pools_and_models
        ),
    ],
    stream: Annotated[bool, typer.Option("--stream", help="The answer is to be streamed.")] = False,
    tools: Annotated[bool, typer.Option("--tools", help="The request carries tools.")] = False,
    image: Annotated[bool, typer.Option("--image", help="The request carries an image.")] = False,
    tokens: Annotated[int, typer.Option(min=1, metavar="N", help="The prompt is about N tokens long.")] = 1,
    max_tokens: Annotated[int | None, typer.Option(min=1, metavar="N", help="The answer may be N tokens long.")] = None,
    operation: Annotated[
        Operation | None, typer.Option("--for", help="The call it is for; embeddings where MODEL says so, else chat.")
    ] = None,
    as_json: out.JsonOption = False,
) -> None:
    """Why which model would be chosen, stage by stage. No provider is asked.

    [dim]meshctl explain chat-completion --tools --tokens 20000[/dim]
    """
    if operation is None:
        operation = Operation.embeddings if "embeddings" in model else Operation.chat
    request = _request(model, operation, stream=stream, tools=tools, image=image, tokens=tokens)
    if max_tokens is not None:
        request["max_tokens"] = max_tokens
    found = daemon.tell("explain", request)
    if as_json:
        out.print_json(found)
    else:
        _show(found)
    if found.get("error"):
        raise typer.Exit(daemon.REFUSED)


def _request(
    model: str, operation: Operation, *, stream: bool, tools: bool, image: bool, tokens: int
) -> dict[str, Any]:
    text = (_WORD * tokens).strip()
    request: dict[str, Any] = {"model": model, "path": _PATHS[operation]}
    if operation is Operation.embeddings:
        request["input"] = text
    elif operation is Operation.completion:
        request["prompt"] = text
    else:
        content: Any = text
        if image:
            pixel = {"url": "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA="}
            content = [{"type": "text", "text": text}, {"type": "image_url", "image_url": pixel}]
        request["messages"] = [{"role": "user", "content": content}]
    if stream:
        request["stream"] = True
    if tools:
        example = {"name": "example", "parameters": {"type": "object", "properties": {}}}
        request["tools"] = [{"type": "function", "function": example}]
    return request


def _show(found: Mapping[str, Any]) -> None:
    resolution = found.get("resolution") or {}
    if resolution:
        out.say(f"{found.get('asked')} is the {resolution.get('kind', 'name')} {resolution.get('name', '')}", out.HEAD)
    needs = found.get("needs") or {}
    out.print_fields(
        [
            ("pool", found.get("pool")),
            ("strategy", found.get("strategy")),
            (
                "the request needs",
                [_need(name, value) for name, value in needs.items() if value not in (None, False, 0, [], "")],
            ),
        ]
    )
    for stage in found.get("stages") or ():
        kept, dropped = stage.get("kept") or (), stage.get("dropped") or ()
        out.say(f"{stage.get('name')}: {len(kept)} kept" + (f", {len(dropped)} dropped" if dropped else ""))
        for model in dropped:
            out.say(f"  ✗ {model.get('model')}: {model.get('reason')}", out.BAD)
        for name in kept:
            out.say(f"  ✓ {name}", out.GOOD)
    if error := found.get("error"):
        out.say(f"refused: {error.get('message')} ({error.get('code')})", out.BAD)
    else:
        out.say(f"chosen: {found.get('chosen')}", out.HEAD)
        if rest := [name for name in found.get("order") or () if name != found.get("chosen")]:
            out.say(f"then: {', '.join(rest)}")


def _need(name: str, value: Any) -> str:
    if value is True:
        return name
    return f"{name}: {', '.join(map(str, value)) if isinstance(value, list) else value}"
