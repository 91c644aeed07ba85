"""`meshctl token`: tokens for apps that ask over HTTP. It needs no daemon.

Must never: keep a token. Only its hash goes into the configuration.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from typing import Annotated

import typer

from meshd.cli import helping
from meshd.cli.screen import output as out

_PREFIX = "mesh-"  # so that people, and programs that look for secrets, recognise one
_BYTES = 32

app = helping.Commands()
token_app = helping.Commands(cls=helping.Few, no_args_is_help=True, help="Create tokens for apps that use HTTP.")
app.add_typer(token_app, name="token", rich_help_panel=out.SET_UP)


@token_app.command()
def create(
    name: Annotated[str, typer.Argument(metavar="APP", help="The app: an entry of `apps`, or a new name.")],
    as_json: out.JsonOption = False,
) -> None:
    """Create a token for an app. It is shown once; the configuration gets its hash.

    $ meshctl token create editor
    """
    token = _PREFIX + secrets.token_urlsafe(_BYTES)
    digest = hashlib.sha256(token.encode()).hexdigest()
    if as_json:
        out.print_json({"app": name, "token": token, "hash": digest})
        return
    out.say(f"The token of {name}, which is not shown again:")
    out.say(f"  {token}")
    out.say("Give it to the app as its API key, and add this to the configuration:")
    out.say("  proxy:\n    auth:\n      tokens:")
    out.say(f"        - {{app: {json.dumps(name, ensure_ascii=False)}, hash: {digest}}}")
