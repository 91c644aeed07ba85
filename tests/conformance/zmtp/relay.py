"""A socket of the pyzmq that runs this: messages of standard input go out, those that come in go to standard output.

python relay.py ADDRESS TYPE [OPTION=VALUE …]. It has to run with any pyzmq, so it imports nothing else.
A message is its number of frames, and each as its length and bytes; numbers have 4 bytes, the most significant first.
"""

import os
import struct
import sys

import zmq


def taken(size):
    """So many bytes, and none more: what is read ahead, the poller would not see. b"" at the end."""
    found = bytearray()
    while len(found) < size:
        more = os.read(0, size - len(found))
        if not more:
            return b""
        found += more
    return bytes(found)


def relay(socket):
    poller = zmq.Poller()
    poller.register(socket, zmq.POLLIN)
    poller.register(0, zmq.POLLIN)
    while True:
        ready = dict(poller.poll())
        if socket in ready:
            frames = socket.recv_multipart()
            parts = [struct.pack(">I", len(frames))]
            for frame in frames:
                parts += [struct.pack(">I", len(frame)), frame]
            sys.stdout.buffer.write(b"".join(parts))
            sys.stdout.buffer.flush()
        elif ready:
            count = taken(4)
            if not count:
                return
            sizes = (struct.unpack(">I", taken(4))[0] for _ in range(struct.unpack(">I", count)[0]))
            socket.send_multipart([taken(size) for size in sizes])


if __name__ == "__main__":
    address, kind, *options = sys.argv[1:]
    made = zmq.Context.instance().socket(getattr(zmq, kind))
    made.setsockopt(zmq.LINGER, 0)
    for option in options:
        name, _, value = option.partition("=")
        made.setsockopt(getattr(zmq, name), int(value) if value.lstrip("-").isdecimal() else value.encode())
    made.connect(address)
    relay(made)
