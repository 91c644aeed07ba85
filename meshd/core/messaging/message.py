"""The root of everything that one actor tells another."""

from __future__ import annotations

import msgspec


class Message(msgspec.Struct, frozen=True, gc=False):
    """Immutable data without behaviour.

    A message named in the imperative asks for something (`Probe`); one in the past tense reports something (`Probed`).
    None carries a mutable object that two actors would share; only `SecretsResolved` and `Prepare` carry secrets.
    """
