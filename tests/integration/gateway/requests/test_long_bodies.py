"""Bodies that are read in another thread get the answers and errors that short ones get."""

from __future__ import annotations

import json

import pytest

from meshd.gateway.requests import arrival
from modelmesh import protocol as wire

LONG = "x" * arrival.LONG


def test_a_long_body_is_answered_as_it_was_sent(line):
    line.chat(LONG)
    answer = json.loads(line.receive(wire.RESPONSE).body)
    assert answer["choices"][0]["message"]["content"] == f"[scripted] {LONG}"
    line.chat(LONG, stream=True)
    while line.receive().kind != wire.END:
        pass


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"chat-completion","messages":[%s',
        b'{"messages":[],"x":"%s"}',
        b'{"model":"nothing","messages":[],"x":"%s"}',
        b'{"model":"chat-completion","max_tokens":"many","messages":[],"x":"%s"}',
    ],
)
def test_errors_of_long_bodies_are_those_of_short_ones(line, body):
    errors = []
    for text in ("x", LONG):
        line.request(body=body % text.encode())
        errors.append(line.receive(wire.ERROR).head.error)
    short, long = errors
    assert (short["code"], short["type"], short["message"]) == (long["code"], long["type"], long["message"])
