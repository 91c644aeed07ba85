"""Checks the profiles that are not in use, as far as each can be checked alone: keys, types and names.

Must never: check what a profile refers to, which may be in another file or profile.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

from msgspec.structs import replace

from meshd.config.check.problems import Problem
from meshd.config.check.references import resolve_env, strings
from meshd.config.read.merging import Part
from meshd.config.read.scalars import as_meant
from meshd.config.schema import RootConfig
from meshd.core.text.key_path import dotted


def faults_of_profiles(profiles: Mapping[str, Part], environ: Mapping[str, str] | None) -> Iterator[Problem]:
    """The problems of each, whose paths begin with `profiles.NAME`."""
    if not profiles:
        return
    from meshd.config.check.validation import Validation
    from meshd.connectors.registry import default_registry

    for name, part in profiles.items():
        written = as_meant(RootConfig, part.raw, part.written)
        flat = resolve_env(written, os.environ if environ is None else environ)
        found = Validation(flat, written, part.places, None, default_registry()).run_alone()
        unknown = {dotted(path) for path, text in strings(flat) if "${" in text}  # a variable may be set only later
        for problem in (*part.problems, *found):
            if problem.path not in unknown:
                yield replace(problem, path=f"profiles.{name}.{problem.path}")
