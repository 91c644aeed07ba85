"""`meshctl batch`: many requests from a file, answered in the background.

Must never: decide anything itself, or hold results in memory.
"""

from __future__ import annotations

import codecs
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Final

import typer

from meshd.cli import daemon, helping, names
from meshd.cli.ask import files
from meshd.cli.screen import output as out

app = helping.Commands()
batch_app = helping.Commands(
    cls=helping.Few,
    no_args_is_help=True,
    help="Run many requests from a file in the background: submit it, wait, and fetch the results.",
)
app.add_typer(batch_app, name="batch", rich_help_panel=out.ASK)

_EVERY: Final = 1.0  # s between two status checks
_ENDED: Final = frozenset({"completed", "failed", "expired", "cancelled"})
_STYLES: Final = {"completed": out.GOOD, "failed": out.BAD, "expired": out.BAD, "cancelled": out.FAINT}
_LONGEST_LINE: Final = 1024 * 1024  # bytes of the first line that are read


def _batches(incomplete: str) -> list[str]:
    try:
        with daemon.client(1.0) as client:
            return [each["id"] for each in _rows(client.batches.list()) if each["id"].startswith(incomplete)]
    except Exception:  # a shell cannot show an error while it completes a word
        return []


BatchId = Annotated[str, typer.Argument(metavar="BATCH", help="Its id.", autocompletion=_batches, callback=names.given)]
Wait = Annotated[
    bool, typer.Option("--wait", help="Wait until it has ended, and show its progress. Ctrl-C ends only the waiting.")
]


@batch_app.command()
def submit(
    file: Annotated[str, typer.Argument(metavar="FILE", help="One request on each line; - is standard input.")],
    endpoint: Annotated[
        str | None, typer.Option(metavar="PATH", help="The path of all requests. Default: the `url` of the first.")
    ] = None,
    window: Annotated[str, typer.Option(metavar="TIME", help="How long it may take, such as 24h.")] = "24h",
    wait: Wait = False,
    as_json: out.JsonOption = False,
) -> None:
    """Submit a file of requests as a batch.

    Each line is one request, with an id of your choice: {"custom_id": "1", "method": "POST", "url":
    "/v1/chat/completions", "body": {"model": "chat", "messages": [{"role": "user", "content": "Hi"}]}}. All lines
    are checked before the first is sent. The daemon sends them while no other request has to wait, within the
    budgets and limits of this app, and continues after a restart. Exit code 1 if the batch has failed; then none was
    sent.

    $ meshctl batch submit lines.jsonl
    $ meshctl batch submit lines.jsonl --window 2h --wait
    """
    name, content = files.contents(file, "FILE")
    place = endpoint or _endpoint(content)
    with daemon.client() as client, daemon.waiting():
        uploaded = client.files.create(file=(name, content), purpose="batch")
        made = client.batches.create(input_file_id=uploaded.id, endpoint=place, completion_window=window).to_dict()
        if wait:
            made = _awaited(client, made, silent=as_json)
    _show(made, as_json)


@batch_app.command()
def status(batch: BatchId, wait: Wait = False, as_json: out.JsonOption = False) -> None:
    """Show how far a batch is, and what is wrong with one that has failed.

    $ meshctl batch status batch_0123 --wait
    $ meshctl batch status batch_0123 --json | jq .request_counts
    """
    with daemon.client() as client, daemon.waiting():
        found = client.batches.retrieve(batch).to_dict()
        if wait:
            found = _awaited(client, found, silent=as_json)
    _show(found, as_json)


@batch_app.command()
def results(
    batch: BatchId,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="The file to write; - is standard output.")
    ] = files.STDOUT,
    errors: Annotated[bool, typer.Option("--errors", help="The lines that failed, instead of the answers.")] = False,
) -> None:
    """Write a batch's answers, or its errors: one line for each request, with its `custom_id`, in any order.

    They are available once it has ended, even if it was cancelled or has expired.

    $ meshctl batch results batch_0123 -o answers.jsonl
    $ meshctl batch results batch_0123 | jq -r '.response.body.choices[0].message.content'
    $ meshctl batch results batch_0123 --errors
    """
    with daemon.client() as client, daemon.waiting():
        found = client.batches.retrieve(batch).to_dict()
        file = found["error_file_id" if errors else "output_file_id"]
        if file is None:
            raise daemon.Refused(_nothing(found, errors=errors))
        stream = client.files.pieces(file)
        try:
            _write(stream, output)
        finally:
            stream.close()


@batch_app.command()
def cancel(batch: BatchId, as_json: out.JsonOption = False) -> None:
    """Cancel a batch. Requests in flight are completed, and the results so far can be fetched.

    $ meshctl batch cancel batch_0123
    """
    with daemon.client() as client, daemon.waiting():
        found = client.batches.cancel(batch).to_dict()
    _show(found, as_json)


@batch_app.command(name="list")
def list_them(
    most: Annotated[int, typer.Option("--limit", min=1, max=100, metavar="N", help="How many, at most.")] = 20,
    as_json: out.JsonOption = False,
) -> None:
    """List this app's batches, the newest first.

    $ meshctl batch list
    """
    with daemon.client() as client, daemon.waiting():
        page = client.batches.list(limit=most).to_dict()
    if as_json:
        out.print_json(page)
        return
    out.print_table(
        ["batch", "status", "done", "failed", "of", "made", "endpoint"],
        [
            [
                row["id"],
                (row["status"], _STYLES.get(row["status"], "")),
                row["request_counts"]["completed"],
                row["request_counts"]["failed"],
                row["request_counts"]["total"],
                out.ago(row["created_at"]),
                row["endpoint"],
            ]
            for row in page["data"]
        ],
        numbers=["done", "failed", "of"],
        empty="no batches",
    )


def _rows(page: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = page.to_dict()["data"]
    return found


def _endpoint(content: bytes) -> str:
    """The `url` of the first request. Raises BadParameter."""
    first = content.lstrip()[:_LONGEST_LINE].partition(b"\n")[0]
    try:
        request = json.loads(first)
    except (ValueError, RecursionError):
        request = None
    if not isinstance(request, dict):
        raise typer.BadParameter("its first line is not a request in JSON; `-h` shows one", param_hint="FILE")
    url = request.get("url")
    if not isinstance(url, str) or not url:
        raise typer.BadParameter("its first line has no `url`; give --endpoint", param_hint="FILE")
    return url


def _nothing(batch: dict[str, Any], *, errors: bool) -> str:
    """Why there are no such results."""
    what, other = ("failed requests", "output_file_id") if errors else ("answers", "error_file_id")
    if batch["status"] not in _ENDED:
        return f"{batch['id']} has no {what} to read yet: it is {batch['status']}"
    if batch[other] is None:
        return f"{batch['id']} has no {what}: it is {batch['status']}, and no request was sent"
    return f"{batch['id']} has no {what}; run this {'without' if errors else 'with'} --errors to get the others"


def _write(pieces: Iterator[bytes], output: str) -> None:
    """Unchanged, except on a terminal."""
    if output == files.STDOUT and out.on_terminal():
        decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        for piece in pieces:
            out.write(decode(piece))
        return
    with files.writing(output) as written:
        for piece in pieces:
            written.write(piece)


def _show(batch: dict[str, Any], as_json: bool) -> None:
    """Exit code 1 for a batch that has failed."""
    if as_json:
        out.print_json(batch)
    else:
        out.print_fields(_fields(batch))
        for fault in (batch["errors"] or {}).get("data", ()):
            out.complain(f"line {fault['line']}: {fault['message']}" if fault["line"] else fault["message"])
    if batch["status"] == "failed":
        raise typer.Exit(daemon.REFUSED)


def _fields(batch: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    status, counts, command = batch["status"], batch["request_counts"], f"meshctl batch results {batch['id']}"
    yield "batch", batch["id"]
    yield "status", (status, _STYLES.get(status, ""))
    if counts["total"]:
        yield "requests", f"{counts['completed']} answered, {counts['failed']} failed, of {counts['total']}"
    else:
        yield "requests", "none was sent" if status in _ENDED else "are being checked"
    yield "made", out.ago(batch["created_at"])
    if status not in _ENDED:
        yield "time left", out.seconds(max(batch["expires_at"] - time.time(), 0.0))
        yield "wait", f"meshctl batch status {batch['id']} --wait"
    if batch["output_file_id"]:
        yield "answers", command
    if batch["error_file_id"]:
        yield "errors", f"{command} --errors"


def _awaited(client: Any, batch: dict[str, Any], *, silent: bool) -> dict[str, Any]:
    """The batch, once it has ended."""
    with _progress(silent) as tell:
        while batch["status"] not in _ENDED:
            time.sleep(_EVERY)
            batch = client.batches.retrieve(batch["id"]).to_dict()
            counts = batch["request_counts"]
            tell(counts["completed"] + counts["failed"], counts["total"])
    return batch


@contextmanager
def _progress(silent: bool) -> Iterator[Any]:
    """A bar on a terminal, and nothing elsewhere."""
    if silent or not sys.stderr.isatty() or os.environ.get("TERM", "dumb") == "dumb":
        yield lambda done, total: None
        return
    from rich import progress

    columns = (progress.BarColumn(), progress.MofNCompleteColumn(), progress.TimeRemainingColumn(compact=True))
    with progress.Progress(*columns, console=out.console(stderr=True), transient=True) as bar:
        task = bar.add_task("requests", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total or None)
