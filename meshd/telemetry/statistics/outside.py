"""What agents used elsewhere, such as by a subscription, as they report it.

Owns: the record. Must never: be taken for the mesh's own money.
"""

from __future__ import annotations

from typing import NamedTuple


class OutsideUse(NamedTuple):
    """Some requests of one session. app, user: who reported it, as the kernel or a token says. cost: 10⁻⁹ USD, as the
    agent estimates it. tokens_in include tokens_cached. signal: in which of OTLP's it came. series: of a sum since
    `began` (UTC s); "": these requests alone."""

    agent: str
    model: str
    session: str
    app: str = ""
    user: str = ""
    project: str = ""
    requests: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    tokens_cached: int = 0
    cost: int = 0
    signal: str = ""
    series: str = ""
    began: float = 0.0

    @property
    def counts(self) -> tuple[int, int, int, int, int]:
        return self.requests, self.tokens_in, self.tokens_out, self.tokens_cached, self.cost
