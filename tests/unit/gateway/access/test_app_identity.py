"""Which app a caller is: the first match that holds, else the default, whose account the rest share."""

from __future__ import annotations

import os

import pytest

from meshd.core.caller import Peer, Token
from meshd.gateway.access.app_identity import AppMatcher, Identity
from meshd.routing.table.access import AppMatch
from meshd.routing.table.capabilities import CapabilityTree
from meshd.routing.table.specs import AppSpec, ModelSpec, PoolSpec, ProviderSpec, RoutingTable
from modelmesh import AccessDeniedError

CHAT = "generation.text-generation.chat-completion"
MAIL = AppSpec("mail", pools=frozenset({"chat"}))
BOSS = AppSpec("boss", admin=True)
REST = AppSpec("default", models=frozenset({"p.b"}))
OWN = 500


def matcher(*specs, matches=(), **given):
    models = [ModelSpec(f"p.{name}", "p", name, (CHAT,)) for name in ("a", "b")]
    pools = [PoolSpec("chat", CHAT, ("p.a",)), PoolSpec("other", "", ("p.a", "p.b"))]
    table = RoutingTable(CapabilityTree.default(), models, [ProviderSpec("p", "scripted")], pools, specs)
    return AppMatcher(table, matches, own_uid=OWN, **given), table


MATCHES = [AppMatch("mail", exe="/usr/bin/mail"), AppMatch("boss", uids=frozenset({7}))]


def test_the_first_that_holds():
    apps, _ = matcher(MAIL, BOSS, REST, matches=MATCHES)
    assert apps.identify(Peer(uid=7, exe="/usr/bin/mail")) == Identity(MAIL, "mail", "mail")
    assert apps.identify(Peer(uid=7)) == Identity(BOSS, "boss", "boss")


def test_the_rest_are_one_account_under_names_of_their_own():
    apps, _ = matcher(MAIL, REST, matches=MATCHES[:1])
    assert apps.identify(Peer(uid=7, name="vim")) == Identity(REST, "default", "vim")
    assert apps.identify(Peer(uid=7, name="emacs")) == Identity(REST, "default", "emacs")


def test_without_a_configured_default_the_rest_may_do_everything():
    apps, table = matcher(MAIL, matches=MATCHES[:1])
    found = apps.identify(Peer(uid=7, name="vim"))
    assert (found.account, found.spec.pools, found.spec.models) == ("default", None, None)
    apps.check(found, table.resolve("chat"))


@pytest.mark.parametrize("name", ["mail", "default"])
def test_a_process_that_takes_an_apps_name_is_counted_apart(name):
    apps, _ = matcher(MAIL, matches=MATCHES[:1])
    found = apps.identify(Peer(uid=7, name=name))
    assert (found.account, found.label) == ("default", f"{name} (uid 7)")


def test_the_app_of_a_token_has_an_account_without_an_entry():
    matches = [AppMatch("editor", tokens=frozenset({"1", "2"})), AppMatch("mail", tokens=frozenset({"3"}))]
    apps, _ = matcher(MAIL, REST, matches=matches)
    found = [apps.identify(Token(digest, "as it says")) for digest in "1234"]
    editor = Identity(REST, "editor", "editor")
    assert found == [editor, editor, Identity(MAIL, "mail", "mail"), Identity(REST, "default", "as it says")]
    assert apps.named("editor") == editor
    assert apps.identify(Peer(uid=7, name="editor")) == Identity(REST, "default", "editor (uid 7)")


def test_what_is_not_allowed_is_refused_with_what_is():
    apps, table = matcher(MAIL, REST, matches=MATCHES[:1])
    mail, rest = apps.identify(Peer(exe="/usr/bin/mail")), apps.identify(Peer(name="vim"))
    for allowed in ("chat", "chat-completion", "p.a"):
        apps.check(mail, table.resolve(allowed))
    for identity, asked, allowed in (
        (mail, "other", ["chat"]),
        (mail, "p.b", ["p.a"]),
        (rest, "chat", ["other"]),
        (rest, "p.a", ["p.b"]),
    ):
        with pytest.raises(AccessDeniedError, match=asked) as caught:
            apps.check(identity, table.resolve(asked))
        assert (caught.value.status_code, caught.value.app, caught.value.allowed) == (403, identity.label, allowed)


def test_a_refusal_names_a_few_and_tells_all():
    models = [ModelSpec(f"p.{number}", "p", str(number), (CHAT,)) for number in range(30)]
    pools = [PoolSpec(f"pool-{number}", "", (f"p.{number}",)) for number in range(30)]
    few = AppSpec("default", pools=frozenset(pool.name for pool in pools[1:]))
    table = RoutingTable(CapabilityTree.default(), models, [ProviderSpec("p", "scripted")], pools, [few])
    apps = AppMatcher(table)
    with pytest.raises(AccessDeniedError, match="and 19 more") as caught:
        apps.check(apps.identify(Peer(name="vim")), table.resolve("pool-0"))
    assert len(caught.value.allowed) == 29
    nothing = AppMatcher(RoutingTable(table.tree, models, [], pools, [AppSpec("default", pools=frozenset())]))
    with pytest.raises(AccessDeniedError, match="nothing"):
        nothing.check(nothing.identify(Peer(name="vim")), table.resolve("pool-0"))


def test_administrators():
    apps, _ = matcher(MAIL, BOSS, matches=MATCHES)
    assert [apps.is_admin(Peer(uid=uid)) for uid in (0, OWN, 7, 8, -1)] == [True, True, True, False, False]
    assert AppMatcher(RoutingTable.empty()).is_admin(Peer(uid=os.getuid()))


def test_apps_by_name():
    apps, _ = matcher(MAIL)
    assert apps.named("mail") == Identity(MAIL, "mail", "mail")
    assert apps.named("default").account == "default"
    assert apps.named("nobody") is None


def test_the_time_of_last_use_survives_a_reload():
    first, _ = matcher(MAIL, matches=MATCHES[:1])
    first.identify(Peer(exe="/usr/bin/mail"), 10.0)
    first.identify(Peer(name="vim"), 11.0)
    first.identify(Peer(name="vim"))  # no request
    second, _ = matcher(before=first)
    second.identify(Peer(name="vim"), 12.0)
    assert second.last_seen == {"mail": 10.0, "vim": 12.0}


def test_what_is_remembered_is_bounded():
    apps, _ = matcher(remembered=3)
    first = apps.identify(Peer(pid=0, name="n0"))
    assert apps.identify(Peer(pid=0, name="n0")) is first
    for number in range(10):
        assert apps.identify(Peer(pid=number, name=f"n{number}"), float(number)).label == f"n{number}"
    assert apps.last_seen == {"n7": 7.0, "n8": 8.0, "n9": 9.0}
    assert apps.identify(Peer(pid=0, name="n0")) is not first
