"""What is counted for metrics: one row for each metric of requests and attempts.

Owns: names, units, labels and bounds. Those of `gen_ai.` are OpenTelemetry's
(https://github.com/open-telemetry/semantic-conventions-genai), ours begin with `meshd.`.
Must never: have a label whose values a caller chooses: an app's label is its entry of `apps`, never its own name.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from meshd.sdk.metrics import Kind

SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
TOKENS = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864)
FIRST_TOKEN = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
PER_TOKEN = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)
WAITS = (0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0)

OPERATION, PROVIDER, MODEL = "gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model"
TOKEN_TYPE, ERROR = "gen_ai.token.type", "error.type"
OUR_PROVIDER, OUR_MODEL, POOL, APP, STATUS = (
    "meshd.provider",
    "meshd.model",
    "meshd.pool",
    "meshd.app",
    "meshd.status",
)
UNIT, EVENT = "meshd.unit", "meshd.event"

_ASKED = (OPERATION, PROVIDER, MODEL, OUR_PROVIDER, OUR_MODEL)
_USE = (APP, POOL, OUR_PROVIDER, OUR_MODEL)


class Instrument(NamedTuple):
    """of: whose counts it sums up (`counts.py`), and the field of these. split: a label with a value for each of the
    fields, where it has several; "": `field` is one, or a map whose keys are the values of the last label."""

    name: str
    kind: Kind
    unit: str
    help: str
    labels: tuple[str, ...]
    of: Literal["attempts", "requests"]
    fields: tuple[tuple[str, str], ...]
    bounds: tuple[float, ...] = ()


def _one(field: str) -> tuple[tuple[str, str], ...]:
    return (("", field),)


INSTRUMENTS = (
    Instrument(
        "gen_ai.client.operation.duration",
        "histogram",
        "s",
        "Duration of an attempt at a provider, by how it ended.",
        (*_ASKED, ERROR),
        "attempts",
        _one("duration"),
        SECONDS,
    ),
    Instrument(
        "gen_ai.client.token.usage",
        "histogram",
        "{token}",
        "Tokens of an attempt at a provider.",
        (*_ASKED, TOKEN_TYPE),
        "attempts",
        (("input", "tokens_in"), ("output", "tokens_out")),
        TOKENS,
    ),
    Instrument(
        "gen_ai.server.request.duration",
        "histogram",
        "s",
        "Time from an app's request to the end of its answer, with queueing and every attempt.",
        (*_ASKED, POOL, ERROR),
        "requests",
        _one("duration"),
        SECONDS,
    ),
    Instrument(
        "gen_ai.server.time_to_first_token",
        "histogram",
        "s",
        "Time from sending to the first content of a streamed answer.",
        (*_ASKED, POOL),
        "requests",
        _one("first_token"),
        FIRST_TOKEN,
    ),
    Instrument(
        "gen_ai.server.time_per_output_token",
        "histogram",
        "s",
        "Time for each output token of a stream after its first one.",
        (*_ASKED, POOL),
        "requests",
        _one("per_token"),
        PER_TOKEN,
    ),
    Instrument(
        "meshd.requests",
        "counter",
        "{request}",
        "Requests that ended, by what the app got.",
        (*_USE, OPERATION, STATUS),
        "requests",
        _one("ended"),
    ),
    Instrument(
        "meshd.tokens",
        "counter",
        "{token}",
        "Tokens of requests. Cached tokens are among the input.",
        (*_USE, TOKEN_TYPE),
        "requests",
        (("input", "tokens_in"), ("output", "tokens_out"), ("cached", "tokens_cached")),
    ),
    Instrument("meshd.cost", "counter", "USD", "What requests cost.", _USE, "requests", _one("cost")),
    Instrument(
        "meshd.units",
        "counter",
        "{unit}",
        "What requests used besides tokens: images, seconds of audio, characters, …",
        (*_USE, UNIT),
        "requests",
        _one("units"),
    ),
    Instrument(
        "meshd.queue.time",
        "histogram",
        "s",
        "Time that requests waited for a place at a model.",
        (POOL,),
        "requests",
        _one("queue"),
        WAITS,
    ),
    Instrument(
        "meshd.routing.time",
        "histogram",
        "s",
        "Time that decisions took.",
        (POOL,),
        "requests",
        _one("routing"),
        WAITS,
    ),
    Instrument(
        "meshd.retries",
        "counter",
        "{attempt}",
        "Repeated attempts at a model.",
        (POOL,),
        "requests",
        _one("retries"),
    ),
    Instrument(
        "meshd.rotations",
        "counter",
        "{attempt}",
        "Attempts at another model after a failure.",
        (POOL,),
        "requests",
        _one("rotations"),
    ),
    Instrument(
        "meshd.hedges", "counter", "{attempt}", "Second attempts beside slow ones.", (POOL,), "requests", _one("hedges")
    ),
    Instrument(
        "meshd.cache.hits",
        "counter",
        "{request}",
        "Requests that were answered without asking a model.",
        (POOL,),
        "requests",
        _one("cached"),
    ),
)
