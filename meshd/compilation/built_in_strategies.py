"""The rotation strategies that come with the daemon, as the pipeline needs them.

Those of other packages have a narrower interface (`meshd/sdk/strategy.py`).
"""

from __future__ import annotations

from meshd.connectors.packages import own
from meshd.routing.decision.strategies.base import MakeStrategy
from meshd.sdk.connector import ROTATION, load


def built_in_strategies() -> dict[str, MakeStrategy]:
    """The strategies by id."""
    return {spec.id: load(spec.factory) for spec in own() if spec.type == ROTATION}
