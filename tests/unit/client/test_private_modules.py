"""Every private module of the client is closed to `meshd`."""

from __future__ import annotations

from configparser import ConfigParser
from pathlib import Path

import modelmesh

ROOT = Path(__file__).resolve().parents[3]


def test_the_contract_names_all_private_modules() -> None:
    contracts = ConfigParser()
    contracts.read(ROOT / ".importlinter")
    named = contracts["importlinter:contract:client-private"]["forbidden_modules"].split()
    (folder,) = modelmesh.__path__
    private = {path.stem for path in Path(folder).iterdir() if path.name.startswith("_") and path.stem[:2] != "__"}
    assert set(named) == {f"modelmesh.{name}" for name in private}
