"""A daemon that breaks the silence of streams sooner, so that no test has to wait for ten seconds."""

from __future__ import annotations

from pathlib import Path

_SITE = """
import sys
if "meshd" in sys.orig_argv:
    from meshd.gateway.frontends.http import reply
    reply.SILENCE = {seconds}
"""


def breaking_silence(directory: Path, seconds: float) -> dict[str, str]:
    """The environment of a daemon. Imported by Python itself at its start."""
    site = directory / "hasty"
    site.mkdir()
    (site / "sitecustomize.py").write_text(_SITE.format(seconds=seconds))
    return {"PYTHONPATH": str(site)}
