"""A client that is connected and does nothing."""

from __future__ import annotations

from meshd.gateway.frontends.ipc.connections import Connection


class Silent(Connection):
    stalled = False

    def send(self, frames: list[bytes]) -> str:
        return ""

    def reads(self) -> bool:
        return False

    def stop_receiving(self) -> None:
        pass

    def close(self) -> None:
        pass
