"""The process that exports: encodes and posts each batch that it is told.

Must never: show its settings, which have keys, in its command line, its environment or a core dump.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

import msgspec

from meshd.connectors.observability.process.serving import Answer, read_message, serve
from meshd.host.process.dumpable import set_dumpable
from meshd.telemetry.otlp_out.batch import Batch
from meshd.telemetry.otlp_out.exporter import Exporter

_NICE = 5
"""Where processors are scarce, requests come first."""


def load() -> Answer:
    exporter = Exporter(msgspec.msgpack.decode(read_message()))

    def export(batch: Batch) -> Any:
        return msgspec.to_builtins(exporter.export(batch))

    return export


if __name__ == "__main__":
    set_dumpable(False)
    with suppress(OSError):  # systemd's filter may refuse it
        os.nice(_NICE)
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))  # it never interrupts what is running
    serve(load, msgspec.msgpack.Decoder(Batch).decode)
