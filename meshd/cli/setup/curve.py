"""`meshctl curve`: keys for the daemon's `tcp://` addresses. It needs no daemon.

Must never: keep a client's secret key, or write the daemon's where others can read it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from meshd.cli import daemon, helping
from meshd.cli.screen import output as out

app = helping.Commands()
curve_app = helping.Commands(cls=helping.Few, no_args_is_help=True, help="Create keys for apps on other machines.")
app.add_typer(curve_app, name="curve", rich_help_panel=out.SET_UP)


@curve_app.command()
def create(
    name: Annotated[str, typer.Argument(metavar="APP", help="The app: an entry of `apps`.")],
    as_json: out.JsonOption = False,
) -> None:
    """Create a pair of keys for an app. The secret key is shown once; the configuration gets the public one.

    $ meshctl curve create laptop
    """
    public, secret = _pair()
    if as_json:
        out.print_json({"app": name, "public_key": public, "secret_key": secret})
        return
    out.say(f"The secret key of {name}, which is not shown again:")
    out.say(f"  {secret}")
    out.say("Give it to the app, for instance in its environment, with the daemon's address and public key:")
    out.say("  MESH_SOCKET=tcp://ADDRESS:PORT")
    out.say("  MESH_CURVE_SERVER_KEY=…")
    out.say("  MESH_CURVE_SECRET_KEY=…")
    out.say("And add this to the configuration:")
    out.say("  apps:")
    out.say(f"    {json.dumps(name, ensure_ascii=False)}:")
    out.say(f"      match: {{curve_key: {json.dumps(public)}}}")


@curve_app.command("daemon")
def daemon_key(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A new file for the secret key.")],
    as_json: out.JsonOption = False,
) -> None:
    """Create the daemon's pair of keys. The secret key goes into a file that only you can read.

    $ meshctl curve daemon ~/.config/meshd/curve.key
    """
    public, secret = _pair()
    path = Path(os.path.expanduser(file)).absolute()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except FileExistsError:
        raise daemon.Refused(f"{path} exists; a key is not replaced: give another name, or remove it") from None
    except OSError as error:
        raise daemon.Refused(f"{path} cannot be written: {error.strerror}") from None
    with open(descriptor, "w", encoding="ascii") as made:
        made.write(f"{secret}\n")
    if as_json:
        out.print_json({"file": str(path), "public_key": public})
        return
    out.say(f"The daemon's secret key is in {path}. Its public key, which clients need:")
    out.say(f"  {public}")
    out.say("Add this to the configuration:")
    out.say("  daemon:")
    out.say("    listen: [tcp://ADDRESS:PORT]")
    out.say(f"    curve: {{secret_key_file: {json.dumps(str(path))}}}")


def _pair() -> tuple[str, str]:
    """(public, secret), in Z85, without characters that a configuration would read as a reference."""
    import zmq

    if not zmq.has("curve"):
        raise daemon.Refused("this libzmq is built without CURVE; install pyzmq from PyPI")
    while True:
        public, secret = (key.decode() for key in zmq.curve_keypair())
        if "${" not in public + secret:
            return public, secret
