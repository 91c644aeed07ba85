"""Another machine, as far as the network is concerned: a namespace with many addresses, none of which is ours."""

from __future__ import annotations

import shutil
import subprocess

import pytest

ADDRESSES = 126


class OtherMachine:
    """address: ours, as it sees it. sources: its own. Needs root and iproute2; tests without them are skipped."""

    def __init__(self) -> None:
        for program in ("ip", "unshare", "nsenter"):
            if shutil.which(program) is None:
                pytest.skip(f"{program} is missing")
        self._process = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", "echo begun; exec sleep infinity"], stdout=subprocess.PIPE, text=True
        )
        try:
            assert self._process.stdout is not None
            if self._process.stdout.readline() != "begun\n":
                pytest.skip("no network namespace can be made")
            self._connect(self._process.pid)
        except BaseException:
            self.close()
            raise

    @property
    def inside(self) -> list[str]:
        """What stands in front of a command that runs there."""
        return ["nsenter", f"--net=/proc/{self._process.pid}/ns/net"]

    def close(self) -> None:
        self._process.kill()
        self._process.wait(10)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _connect(self, pid: int) -> None:
        """Over two interfaces, which end with it."""
        net = f"198.{18 + pid // 256 % 2}.{pid % 256}"  # for tests of networks, says RFC 2544
        self.address = f"{net}.1"
        self.sources = [f"{net}.{128 + number}" for number in range(1, ADDRESSES + 1)]
        ours, theirs = f"mesh{pid}", "eth0"
        if subprocess.run(["ip", "link", "add", ours, "type", "veth", "peer", theirs, "netns", str(pid)]).returncode:
            pytest.skip("no interface can be made")
        for command in (
            ["ip", "address", "add", f"{net}.1/24", "dev", ours],
            ["ip", "link", "set", ours, "up"],
            [*self.inside, "ip", "address", "add", f"{net}.2/24", "dev", theirs],
            [*self.inside, "ip", "link", "set", theirs, "up"],
            [*self.inside, "ip", "link", "set", "lo", "up"],
            [*self.inside, "ip", "route", "add", "local", f"{net}.128/25", "dev", "lo"],
        ):
            subprocess.run(command, check=True)
