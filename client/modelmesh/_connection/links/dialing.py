"""Dials a daemon, by the form of link that its address needs, and says HELLO."""

from __future__ import annotations

import os
import sys
from typing import Final

from modelmesh._connection.links.link import Link
from modelmesh._connection.links.unix_link import UnixLink
from modelmesh.protocol import HELLO, HelloHead, encode
from modelmesh.version import CLIENT

_IPC: Final = "ipc://"


def dial(address: str) -> Link:
    """Raises OSError."""
    if address.startswith(_IPC):
        link: Link = UnixLink(address.removeprefix(_IPC))
    else:
        from modelmesh._connection.links.zmq_link import ZmqLink  # and with it libzmq

        link = ZmqLink(address)
    link.send(encode(HELLO, b"", greeting()))
    return link


def greeting() -> HelloHead:
    """What this process says about itself."""
    return HelloHead(client=CLIENT, process=os.path.basename(sys.argv[0]) if sys.argv else "")
