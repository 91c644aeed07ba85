"""Arguments that are missing, empty or wrong: each command says in a sentence what to give instead."""

from __future__ import annotations

from typing import Any

import pytest

EMPTY = "it is empty; give a name"
ODD: list[tuple[tuple[str, ...], int, str]] = [
    *(((command, ""), 2, EMPTY) for command in ("pools", "models", "providers", "apps", "probe", "rotate", "explain")),
    (("model", "activate", " "), 2, EMPTY),
    (("model", "enable", "first.chat"), 2, "No such command 'enable'. There are activate, deactivate."),
    (("model", "activat", "first.chat"), 2, "Did you mean 'activate'"),
    (("model", "activate", "talk"), 1, "talk is a pool, not a model; see its models by `meshctl pools talk`."),
    (("config", "edit"), 2, "There are show, files, validate, schema, convert, init."),
    (("top",), 2, "`meshctl top` needs a terminal; `meshctl top --json` prints one snapshot."),
    (("stats", "--by", "colour"), 2, "cannot count by 'colour'; give one of pool, model, provider"),
    (("stats", "--by", "model,model"), 2, "cannot count by 'model,model'; give at most 3 names"),
    (("stats", "--since", "soon"), 2, "'soon' is not a time; write 15m, 24h, 7d, today, yesterday"),
    (("stats", "--format", "xml"), 2, "'xml' is not one of"),
    (("stats", "--json", "--format", "csv"), 2, "--json and --format csv exclude each other; give one of them."),
    (("events", "-n", "-1"), 2, "'--limit' / '-n': expected a number of at least 0, got '-1'"),
    (("events", "-n", "ten"), 2, "'--limit' / '-n': expected a whole number, got 'ten'"),
    (("top", "--interval", "0"), 2, "'--interval': expected a number of at least 0.2, got '0'"),
    (("top", "--interval", "nan"), 2, "'--interval': expected a number of at most 60, got 'nan'"),
    (("drain", "--timeout", "1e400"), 2, "'--timeout': expected a number of at most 86400, got '1e400'"),
    (("explain", "talk", "--tokens", "9" * 40), 2, "'--tokens': expected a number of at most 10000000, got '999"),
    (("status", "--\x1b[2J"), 2, "No such option: --\\x1b[2J"),
    (("pools", "\udcff"), 2, "An argument is not text in UTF-8."),
    (("catalogue", "list", "--dir", "x" * 300), 1, "File name too long"),
    (("status", "--socket"), 2, "'--socket' requires an argument"),
    (("status", "--socket=/nowhere"), 69, "tried /nowhere"),
    (("--socket", "/elsewhere", "status", "--socket", "/nowhere"), 69, "tried /nowhere"),
]


@pytest.mark.timeout(180)
def test_what_to_give_is_reported(meshctl: Any) -> None:
    for words, code, told in ODD:
        done = meshctl(*words, COLUMNS="300")
        assert (done.returncode, told in done.stderr, done.stdout) == (code, True, ""), (words, done.stderr)
    assert meshctl("stats", "--since", "yesterday").returncode == 0
