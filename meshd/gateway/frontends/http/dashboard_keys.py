"""The keys that tell the dashboard from other pages of the same address.

Owns: the secret from which they are made, a new one at each start of the daemon. Must never: show a key to another
user.

A browser treats all pages from one address as one origin. Before the daemon, another user's program may have listened
at its address, and a page of it may still be open. So the dashboard sends a key, which `meshctl dashboard` asks for
over the mesh socket, where the kernel says who asks.
"""

from __future__ import annotations

import hmac
import secrets

KEY_HEADER = "x-mesh-dashboard-key"


class DashboardKeys:
    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)

    def of(self, uid: int) -> str:
        """The key of a user's pages."""
        return hmac.digest(self._secret, str(uid).encode(), "sha256").hex()

    def fits(self, uid: int, key: str) -> bool:
        return uid >= 0 and hmac.compare_digest(self.of(uid).encode(), key.encode())
