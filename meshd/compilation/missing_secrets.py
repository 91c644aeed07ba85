"""What the secrets that a configuration lacks mean for it.

Must never: let a store that does not answer end a daemon, if the daemon can do without the secret.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set

import msgspec

from meshd.config import MeshConfig, Problem


class MissingSecret(msgspec.Struct, frozen=True):
    """At one place of the configuration. provider: that is left out, "" if it is not one. fatal: the configuration
    cannot be used. problem: with what happens."""

    name: str
    provider: str
    why: str
    fatal: bool
    problem: Problem


def secrets_missing(
    config: MeshConfig, missing: Mapping[str, str], unreachable: Set[str], *, all_needed: bool | None = None
) -> Iterator[MissingSecret]:
    """missing: name → why. unreachable: those of them that a store may have that does not answer. all_needed: instead
    of `secrets.fail_on_missing`."""
    paths = config.secret_paths()
    needed = config.secrets.fail_on_missing if all_needed is None else all_needed
    for name, why in missing.items():
        for path in paths[name]:
            of_provider = path[0] == "providers"
            consequence = "" if needed else config.without_secret(path)
            fatal = not consequence or not (of_provider or name in unreachable)
            said = f"secret {name} is missing: {why}"
            problem = config.problem_at(path, said if fatal else f"{said}; {consequence}")
            yield MissingSecret(name, str(path[1]) if of_provider else "", said, fatal, problem)
