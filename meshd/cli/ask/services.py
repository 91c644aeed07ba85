"""`meshctl search`, `translate` and `parse`: web pages, texts in another language, the text of a document.

Must never: depend on a particular service. Each command calls one operation and prints its answer.
"""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from meshd.cli import daemon, helping, names
from meshd.cli.ask import answering, files
from meshd.cli.screen import output as out
from meshd.host.plain_text import one_line

app = helping.Commands()

Model = Annotated[str, typer.Option(help="A pool, capability or model.", autocompletion=names.pools_and_models)]


@app.command(rich_help_panel=out.ASK)
def search(
    query: Annotated[str, typer.Argument(help="What to look for; - reads it from a pipe.")],
    model: Model = "web-search",
    results: Annotated[int | None, typer.Option("-n", "--results", min=1, max=100, help="How many results.")] = None,
    domain: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only pages of this site; may be repeated.")
    ] = None,
    recency: Annotated[
        str | None, typer.Option(metavar="AGE", help="Only pages of the last day, week, month or year.")
    ] = None,
    country: Annotated[str | None, typer.Option(metavar="CODE", help="Pages for a country, such as de.")] = None,
    language: Annotated[str | None, typer.Option(metavar="CODE", help="Pages in a language, such as en.")] = None,
    as_json: out.JsonOption = False,
) -> None:
    """Search the web.

    $ meshctl search "history of lighthouses" -n 5
    $ meshctl search "release notes" --domain docs.python.org --json | jq -r '.results[].url'
    """
    asked = {
        "query": _text(query, "QUERY"),
        "max_results": results,
        "domains": domain,
        "recency": recency,
        "country": country,
        "language": language,
    }
    with daemon.client() as client, daemon.waiting(), answering.spinner("searching…"):
        answer, total = _timed(client.search.create, model, asked)
    if as_json:
        out.print_json({**answer, "total_time": total})
        return
    for number, each in enumerate(answer["results"]):
        out.say(f"{'' if number == 0 else chr(10)}{one_line(str(each.get('title') or each['url']))}")
        about = [each["url"], each.get("published")]
        out.say("  " + one_line(" · ".join(str(part) for part in about if part)), hang=2)
        if each.get("snippet"):
            out.say("  " + one_line(each["snippet"]), hang=2)
    if not answer["results"]:
        out.say("nothing was found")
    answering.footer(answer["mesh"], None, [], total)


@app.command(rich_help_panel=out.ASK)
def translate(
    text: Annotated[str, typer.Argument(help="The text; - reads it from a pipe.")],
    to: Annotated[str, typer.Option("--to", metavar="CODE", help="The language to translate into, such as de.")],
    model: Model = "translation",
    source: Annotated[
        str | None, typer.Option("--from", metavar="CODE", help="The language of the text. Default: detected.")
    ] = None,
    formal: Annotated[bool | None, typer.Option("--formal/--informal", help="How to address people.")] = None,
    as_json: out.JsonOption = False,
) -> None:
    """Print a text in another language.

    $ meshctl translate "Good morning" --to de --formal
    $ meshctl translate - --to fr < a.txt
    """
    formality = None if formal is None else "more" if formal else "less"
    asked = {"text": _text(text, "TEXT"), "target": to, "source": source, "formality": formality}
    with daemon.client() as client, daemon.waiting(), answering.spinner("translating…"):
        answer, total = _timed(client.translate.create, model, asked)
    if as_json:
        out.print_json({**answer, "total_time": total})
        return
    for each in answer["translations"]:
        out.write(each["text"] if each["text"].endswith("\n") else each["text"] + "\n")
    answering.footer(answer["mesh"], None, [f"from {each['source']}" for each in answer["translations"][:1]], total)


@app.command(rich_help_panel=out.ASK)
def parse(
    file: Annotated[str, typer.Argument(help="The document; - reads it from a pipe.", metavar="FILE")],
    model: Model = "document-parsing",
    text: Annotated[bool, typer.Option("--text", help="Print plain text, without Markdown.")] = False,
    as_json: out.JsonOption = False,
) -> None:
    """Print the text of a document, as Markdown if the service supports it.

    $ meshctl parse report.pdf > report.txt
    $ meshctl parse - --json < scan.png | jq '.pages | length'
    """
    asked = {"file": files.contents(file, "FILE"), "output": "text" if text else None}
    with daemon.client() as client, daemon.waiting(), answering.spinner("waiting for the text…"):
        answer, total = _timed(client.documents.parse, model, asked)
    if as_json:
        out.print_json({**answer, "total_time": total})
    elif answer["text"].strip():
        out.write(answer["text"] if answer["text"].endswith("\n") else answer["text"] + "\n")
        pages = len(answer["pages"])
        answering.footer(answer["mesh"], None, [f"{pages} page{'' if pages == 1 else 's'}"], total)
    if not answer["text"].strip():
        raise daemon.Refused("the service found no text")


def _text(given: str, argument: str) -> str:
    content = out.text_given(given)
    if not content.strip():
        raise typer.BadParameter("it is empty: give it as an argument, or on standard input", param_hint=argument)
    return content


def _timed(ask: Any, model: str, asked: dict[str, Any]) -> tuple[dict[str, Any], float]:
    """(the answer with `mesh` in it, seconds)"""
    began = time.monotonic()
    answer = ask(model=model, **{name: value for name, value in asked.items() if value is not None})
    mesh = answer.mesh.to_dict() if answer.mesh else {}
    return {**answer.to_dict(), "mesh": mesh}, round(time.monotonic() - began, 6)
