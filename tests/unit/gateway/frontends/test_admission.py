"""What admission counts for a user is given back to the same user."""

from __future__ import annotations

import pytest

from meshd.core.caller import Caller, Peer, Token
from meshd.gateway.frontends.admission import Admission, Limits, Rights
from tests.support.gateway.asked import Asked


@pytest.mark.parametrize("caller", [Peer(uid=7), Token("digest"), Peer(network="192.0.2.7")], ids=lambda each: each.app)
def test_a_longer_body_is_counted_for_its_own_user(caller: Caller) -> None:
    limits = Limits(request_timeout=60.0, max_message_size=1024**2, max_inflight=8)
    admission = Admission(lambda request: None, (), limits, lambda caller: Rights())
    request = Asked(b"short", caller=caller)
    admission.admit(request, len(request.body), Rights())
    before = admission.room.of(caller.shares_as)
    admission.replace_body(request, b"x" * 1000)
    assert admission.room.of(caller.shares_as) == before + 1000 - len(b"short")
    admission.ended(request.request_id, request.reply, None)
    assert (admission.room.of(caller.shares_as), admission.room.total) == (0, 0)
