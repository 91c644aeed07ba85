"""`meshctl chat`: one answer, or a conversation, streamed as it comes.

Owns: which arguments are the model and the prompt, the conversation, and what is shown while waiting.
Must never: write anything but the answer (or JSON) to stdout, or call an empty answer a success.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from meshd.cli import daemon, helping, names
from meshd.cli.screen import output as out
from meshd.host.plain_text import one_line
from meshd.operations.chat import CHAT

if TYPE_CHECKING:
    from modelmesh import OpenAIClient

app = helping.Commands()

DEFAULT_MODEL = "chat-completion"
_DIM, _RESET = "\x1b[2m", "\x1b[0m"
_PATIENCE = 0.3  # s before a spinner is worth showing

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
    max_tokens: Annotated[int | None, typer.Option(min=1, metavar="N", help="Limit the answer to N tokens.")] = None,
    temperature: Annotated[
        float | None, typer.Option(min=0, max=2, metavar="T", help="From 0, predictable, to 2, random.")
    ] = None,
    stream: Annotated[bool, typer.Option("--stream/--no-stream", help="Print the answer as it comes.")] = True,
    as_json: out.JsonOption = False,
) -> None:
    """Ask one question, or have a conversation.

    $ meshctl chat "What is a service mesh?"
    $ meshctl chat openai.gpt-4o "Three names for a cat" --temperature 1
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
    with daemon.waiting(), _spinner():
        reply = client.chat.completions.create(model=model, messages=messages, **given)
    total = time.monotonic() - began
    text = (reply.choices[0].message.content or "") if reply.choices else ""
    mesh = reply.mesh.to_dict() if reply.mesh else {}
    usage = reply.usage.to_dict() if reply.usage else None
    if as_json:
        out.print_json({**reply.to_dict(), "mesh": mesh, "total_time": round(total, 6)})
    else:
        out.write(text if text.endswith("\n") else text + "\n")
        _footer(mesh, reply.model, usage, None, total)
    return text


def _streamed(client: OpenAIClient, model: str, messages: list[Message], given: Mapping[str, Any]) -> str:
    """Print the answer as it comes. Returns what was printed."""
    began = time.monotonic()
    first: float | None = None
    parts: list[str] = []
    real = None
    with daemon.waiting(), _spinner() as spinner:
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
    _footer(mesh, real, stream.usage, first, time.monotonic() - began)
    return text


def _footer(
    mesh: Mapping[str, Any], model: str | None, usage: Mapping[str, Any] | None, first: float | None, total: float
) -> None:
    """One dim line on stderr: who answered, and how long it took."""
    attempts = mesh.get("attempts") or ()
    tokens = next((usage[name] for name in ("completion_tokens", "output_tokens") if usage and name in usage), None)
    tries = len(attempts) if isinstance(attempts, list) else int(attempts or 1)
    parts = [
        mesh.get("model") or model,
        mesh.get("provider"),
        f"{tokens} tokens" if tokens is not None else None,
        f"first token {out.seconds(first)}" if first is not None else None,
        f"total {out.seconds(total)}",
        f"{tries} attempts" if tries > 1 else "1 attempt",
        out.usd(mesh["cost"]) if isinstance(mesh.get("cost"), int | float) and mesh["cost"] else None,
    ]
    line = one_line(" · ".join(str(part) for part in parts if part))
    sys.stderr.write(f"{_DIM}{line}{_RESET}\n" if _coloured() else f"{line}\n")
    sys.stderr.flush()


def _coloured() -> bool:
    return sys.stderr.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


@contextmanager
def _spinner() -> Iterator[Any]:
    """Show a spinner on a terminal until the returned event is set. A thread loads rich and draws it, so that neither
    delays the first token."""
    import threading

    come = threading.Event()
    if not (sys.stderr.isatty() and sys.stdout.isatty()):
        yield come
        return
    gone = threading.Event()

    def draw() -> None:
        if not come.wait(_PATIENCE):
            with out.console(stderr=True).status("waiting for the first token… (a local model may be starting)"):
                come.wait()
        gone.set()

    class Come:
        def set(self) -> None:
            come.set()
            gone.wait(1.0)  # the line is clean again before the answer is written

    threading.Thread(target=draw, daemon=True).start()
    handle = Come()
    try:
        yield handle
    finally:
        handle.set()


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
