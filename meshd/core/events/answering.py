"""What requests to a provider have found.

Owns: the values of `answering`, which the protocol shows.
"""

from __future__ import annotations

import enum


class ProviderAnswering(enum.StrEnum):
    """Needed for probes too, which some providers refuse though they serve requests."""

    UNKNOWN = ""  # no request has told yet
    SERVES = "serves"
    NOTHING = "nothing"  # every request gets a 404: there is nothing at their path
    KEY_REFUSED = "authentication"
