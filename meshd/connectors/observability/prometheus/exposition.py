"""A reading as Prometheus' text format, version 0.0.4
(https://prometheus.io/docs/instrumenting/exposition_formats).

Owns: the names in that form, by OpenTelemetry's rules: dots become underscores, the unit and `_total` are appended.
Must never: keep anything.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from itertools import accumulate

from meshd.sdk.metrics import Distribution, Family

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_UNITS = {"s": "seconds", "By": "bytes", "USD": "usd", "ratio": "ratio"}
_NOT_IN_A_NAME = re.compile(r"[^a-zA-Z0-9_:]")
_NOT_IN_A_LABEL = re.compile(r"[^a-zA-Z0-9_]")
_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


def text_of(families: Iterable[Family]) -> str:
    lines: list[str] = []
    for family in families:
        if family.rows:
            lines += _lines(family)
    return "\n".join(lines) + "\n" if lines else ""


def metric_name(family: Family) -> str:
    """`gen_ai.client.operation.duration`, in `s` → gen_ai_client_operation_duration_seconds."""
    name = _NOT_IN_A_NAME.sub("_", family.name)
    unit = _UNITS.get(family.unit, "")
    if unit and not name.endswith(f"_{unit}"):
        name = f"{name}_{unit}"
    return f"{name}_total" if family.kind == "counter" and not name.endswith("_total") else name


def _lines(family: Family) -> Iterator[str]:
    name = metric_name(family)
    labels = [_NOT_IN_A_LABEL.sub("_", label) for label in family.labels]
    help = family.help.translate({ord("\\"): r"\\", ord("\n"): r"\n"})
    yield f"# HELP {name} {help}"
    yield f"# TYPE {name} {family.kind}"
    limits = [f'le="{_number(bound)}"}}' for bound in (*family.bounds, math.inf)]
    for values, value in family.rows:
        told = ",".join(
            [f'{label}="{text.translate(_ESCAPES)}"' for label, text in zip(labels, values, strict=True) if text]
        )
        if isinstance(value, Distribution):
            begin = f"{name}_bucket{{{told}," if told else f"{name}_bucket{{"
            counts = list(accumulate(value.counts))
            for limit, count in zip(limits, counts, strict=True):
                yield f"{begin}{limit} {count}"
            told = f"{{{told}}}" if told else ""
            yield f"{name}_sum{told} {_number(value.total)}"
            yield f"{name}_count{told} {counts[-1]}"
        else:
            yield f"{name}{{{told}}} {_number(value)}" if told else f"{name} {_number(value)}"


def _number(value: float) -> str:
    if isinstance(value, int) or value.is_integer():
        return str(int(value))
    if math.isfinite(value):
        return repr(value)
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
