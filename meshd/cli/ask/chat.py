"""`meshctl chat`: one answer, or a conversation, streamed as it comes.

Owns: which arguments are the model and the prompt, the conversation, and what is shown while waiting.
Must never: write anything but the answer (or JSON) to stdout, or call an empty answer a success.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from meshd.cli import daemon, helping, names
from meshd.cli.ask import answering
from meshd.cli.screen import output as out
from meshd.operations.chat import CHAT
from modelmesh.wording import counted

if TYPE_CHECKING:
    from modelmesh import OpenAIClient

app = helping.Commands()

DEFAULT_MODEL = "chat-completion"
_WAIT = "waiting for the first token… (a local model may be starting)"

Message = dict[str, str]


@app.command(rich_help_panel=out.ASK)
def chat(
    model: Annotated[
        str | None,
        typer.Argument(
            help="A pool, capability or model. A single word that the daemon does not know is the prompt.",
            autocompletion=names.pools_and_models,
            metavar="MODEL",
        ),
    ] = None,
    prompt: Annotated[str | None, typer.Argument(help="What to ask; - reads it from a pipe.", metavar="PROMPT")] = None,
    system: Annotated[str | None, typer.Option(metavar="TEXT", help="Instructions before the conversation.")] = None,
    max_tokens: Annotated[
        int | None, typer.Option(min=1, max=100_000_000, metavar="N", help="Limit the answer to N tokens.")
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(min=0, max=2, metavar="T", help="From 0 (predictable) to 2 (random).")
    ] = None,
    stream: Annotated[bool, typer.Option("--stream/--no-stream", help="Print the answer as it comes.")] = True,
    as_json: out.JsonOption = False,
) -> None:
    """Ask one question, or have a conversation.

    $ meshctl chat "What is a service mesh?"
    $ meshctl chat openai.gpt-5.4 "Three names for a cat" --temperature 1
    $ git diff | meshctl chat --system "Summarise this change"
    $ meshctl chat   # a conversation; Ctrl-D ends it
    """
    options = {"max_tokens": max_tokens, "temperature": temperature}
    given = {name: value for name, value in options.items() if value is not None}
    history: list[Message] = [{"role": "system", "content": out.as_text(system)}] if system else []
    with daemon.client() as client:
        chosen, text = _sorted_out(client, model, prompt)
        if text is None and sys.stdin.isatty():
            _converse(client, chosen or DEFAULT_MODEL, history, given)
            return
        text = out.text_given(text)
        if not text.strip():
            raise typer.BadParameter("no prompt: give one as an argument, or on standard input", param_hint="PROMPT")
        history.append({"role": "user", "content": text})
        _one(client, chosen or DEFAULT_MODEL, history, given, stream=stream and not as_json, as_json=as_json)


def _sorted_out(client: OpenAIClient, model: str | None, prompt: str | None) -> tuple[str | None, str | None]:
    """(model, prompt): a single word is a model if the daemon knows one of that name, else the prompt."""
    if prompt is not None or model is None:
        return model, prompt
    if model in ("", "-") or any(letter.isspace() for letter in model):
        return None, model
    return (model, None) if _is_known(client, model) else (None, model)


def _is_known(client: OpenAIClient, name: str) -> bool:
    from modelmesh import NotFoundError

    request = {"model": name, "path": CHAT.paths["openai"], "messages": [{"role": "user", "content": "?"}]}
    try:
        with daemon.waiting():
            answer = client.mesh.request("POST", f"{daemon.PREFIX}/explain", request).to_dict()
    except NotFoundError:
        return False
    return out.get(answer, "error", "code") not in ("model_not_found", "not_found")


def _one(
    client: OpenAIClient, model: str, messages: list[Message], given: Mapping[str, Any], *, stream: bool, as_json: bool
) -> None:
    text = _streamed(client, model, messages, given) if stream else _whole(client, model, messages, given, as_json)
    if not text.strip():
        raise daemon.Refused("the model gave an empty answer")


def _whole(client: OpenAIClient, model: str, messages: list[Message], given: Mapping[str, Any], as_json: bool) -> str:
    began = time.monotonic()
    with daemon.waiting(), answering.spinner(_WAIT):
        reply = client.chat.completions.create(model=model, messages=messages, **given)
    total = time.monotonic() - began
    text = (reply.choices[0].message.content or "") if reply.choices else ""
    mesh = reply.mesh.to_dict() if reply.mesh else {}
    usage = reply.usage.to_dict() if reply.usage else None
    if as_json:
        out.print_json({**reply.to_dict(), "mesh": mesh, "total_time": round(total, 6)})
    else:
        out.write(text if text.endswith("\n") else text + "\n")
        answering.footer(mesh, reply.model, [_tokens(usage)], total)
    return text


def _streamed(client: OpenAIClient, model: str, messages: list[Message], given: Mapping[str, Any]) -> str:
    """Print the answer as it comes. Returns what was printed."""
    began = time.monotonic()
    first: float | None = None
    parts: list[str] = []
    real = None
    with daemon.waiting(), answering.spinner(_WAIT) as spinner:
        stream = client.chat.completions.create(model=model, messages=messages, stream=True, **given)
        with stream:
            for chunk in stream:
                real = chunk.model or real
                piece = (chunk.choices[0].delta.content or "") if chunk.choices else ""
                if not piece:
                    continue
                if first is None:
                    first = time.monotonic() - began
                    spinner.set()
                parts.append(piece)
                out.write(piece)
    text = "".join(parts)
    if text and not text.endswith("\n"):
        sys.stdout.write("\n")
        sys.stdout.flush()
    mesh = stream.mesh.to_dict() if stream.mesh else {}
    begun = f"first token {out.seconds(first)}" if first is not None else ""
    answering.footer(mesh, real, [_tokens(stream.usage), begun], time.monotonic() - began)
    return text


def _tokens(usage: Mapping[str, Any] | None) -> str:
    count = next((usage[name] for name in ("completion_tokens", "output_tokens") if usage and name in usage), None)
    return counted(count, "token") if count is not None else ""


def _converse(client: OpenAIClient, model: str, history: list[Message], given: Mapping[str, Any]) -> None:
    """Ask and answer until Ctrl-D. Each request contains the whole conversation."""
    import readline  # noqa: F401  line editing and history for input()

    from modelmesh import MeshError

    out.remark(f"talking to {model}; Ctrl-D ends, Ctrl-C stops an answer")
    while True:
        try:
            text = input("> ").strip()
        except EOFError:
            sys.stdout.write("\n")
            return
        except KeyboardInterrupt:  # drops the line, as in a shell
            sys.stderr.write("\nCtrl-D ends the conversation\n")
            continue
        if not text:
            continue
        if text in ("/exit", "/quit"):
            return
        history.append({"role": "user", "content": text})
        try:
            answer = _streamed(client, model, history, given)
        except KeyboardInterrupt:
            sys.stderr.write("\n")
            answer = ""
        except MeshError as error:
            daemon.report(error)
            answer = ""
        if answer.strip():
            history.append({"role": "assistant", "content": answer})
        else:  # without an answer, the question is not part of the conversation
            history.pop()
