"""What other programs of the machine say.

Must never: wait for one that does not end.
"""

from __future__ import annotations

import subprocess

_PATIENCE = 5.0  # s


def output_of(*command: str) -> str:
    """What it printed; "" if it is missing or does not end in time."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()
