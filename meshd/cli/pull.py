"""`meshctl pull`: fetch weights for the embedded models, with progress.

Must never: fetch anything itself (that is `meshd.pull`), or need a daemon.
"""

from __future__ import annotations

import typer

app = typer.Typer()
