"""`MeshConfig`: one configuration, as written and as meant.

Owns: the raw data with its lines; the typed views; validation, merging, comparison, redaction, dumping. Must never:
change after it was created (every operation returns a new one), or show a secret's value.

Four stages of the same data: `raw` (as written), `_written` (canonical form), `_flat` (environment resolved, at
load), and the typed views (secrets too, once `with_secrets` gave them).
"""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace
from pydantic import ValidationError

from meshd.config.awaited import consequence, without_awaited
from meshd.config.check.problems import Places, Problem, configuration_error, problem_in
from meshd.config.check.references import (
    env_values,
    reference_problems,
    resolve_env,
    resolve_secrets,
    secret_names,
    strings,
)
from meshd.config.inferred import complete, implied_keys
from meshd.config.read.config_files import ConfigFiles
from meshd.config.read.including import Read, read_files, read_one
from meshd.config.read.loading import Loaded, is_content, load_text
from meshd.config.read.merging import merged, without
from meshd.config.read.normalise import canonical, with_full_strategies
from meshd.config.read.profiles import faults_of_profiles
from meshd.config.read.scalars import Written, as_meant
from meshd.config.schema import RootConfig
from meshd.config.schema_walk import prune
from meshd.config.write import dumping
from meshd.config.write.difference import describe_difference
from meshd.config.write.origins import origins_of
from meshd.core.text.key_path import Path, dotted
from meshd.core.text.redaction import is_secret_key, is_secret_path, may_hold_secret, redact
from meshd.sdk.http.credentials import credentials_of_address
from modelmesh.errors import ConfigurationError

if TYPE_CHECKING:
    from meshd.config.schema import (
        AppConfig,
        BatchesConfig,
        ConnectorEntry,
        DaemonConfig,
        DiscoveryConfig,
        KeptFilesConfig,
        ModelConfig,
        ObservabilityConfig,
        PoolConfig,
        ProviderConfig,
        ProxyConfig,
        ResponsesConfig,
        SecretsConfig,
        StorageConfig,
    )
    from meshd.connectors.registry import ConnectorRegistry
    from meshd.routing.table.capabilities import CapabilityTree


class MeshConfig:
    """One configuration. Treat it as immutable: callers may read `raw` but not change it."""

    def __init__(
        self,
        raw: Mapping[str, Any] | None = None,
        *,
        file: str | None = None,
        sources: ConfigFiles | None = None,
        places: Places | None = None,
        environ: Mapping[str, str] | None = None,
        problems: tuple[Problem, ...] = (),
        secrets: Mapping[str, str] | None = None,
        resolved: bool = False,
        written: Written | None = None,
    ) -> None:
        if raw is not None and not isinstance(raw, Mapping):
            raise ConfigurationError("a configuration is a map of sections", problems=[])
        self.raw: dict[str, Any] = _own_copy(raw or {})
        self.file = file
        self.sources = sources
        self._places = dict(places or {})
        self._environ = os.environ if environ is None else environ
        self._load_problems = problems
        self._secrets = dict(secrets or {})
        self._resolved = resolved  # what refers to another secret has to wait for it
        self._texts: Written = written or {}
        self._written, self.origins, form_problems = canonical(self.raw, self._places)
        self._written = as_meant(RootConfig, self._written, self._texts)
        found = reference_problems(self._written, self._environ, self.problem_at)
        self._form_problems = (*form_problems, *found)
        self._flat: dict[str, Any] = with_full_strategies(resolve_env(self._written, self._environ))

    # -- making one -----------------------------------------------------------------------------------

    @classmethod
    def from_file(cls, path: str | os.PathLike[str], *, environ: Mapping[str, str] | None = None) -> MeshConfig:
        """Read YAML, TOML or JSON, by the file's ending, with the files that it includes. Raises ConfigurationError if
        one of them cannot be read as that."""
        name = os.fspath(path)
        return cls.from_read(read_files(name, os.environ if environ is None else environ), name, environ)

    @classmethod
    def from_text(
        cls, text: str, format: str = "yaml", *, file: str | None = None, environ: Mapping[str, str] | None = None
    ) -> MeshConfig:
        return cls._from_loaded(load_text(text, format, file), file, environ)

    @classmethod
    def of(cls, config: Any) -> MeshConfig:
        """From what a program gives: a MeshConfig, a mapping, or a file's path. Raises ConfigurationError."""
        if isinstance(config, MeshConfig):
            return config
        if isinstance(config, Mapping):
            return cls.from_dict(config)
        if not isinstance(config, str | os.PathLike) or is_content(config):
            given = "its content as text" if isinstance(config, str) else type(config).__name__
            raise ConfigurationError(
                f"a configuration is given as a MeshConfig, a mapping or a file's path, not as {given}"
                + ("; MeshConfig.from_text reads that" if isinstance(config, str) else "")
            )
        return cls.from_file(config)

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any], *, environ: Mapping[str, str] | None = None) -> MeshConfig:
        if not isinstance(raw, Mapping) or not raw.keys() & {"include", "profiles"}:
            return cls(raw, environ=environ)
        return cls._from_loaded(Loaded(_own_copy(raw)), None, environ)

    @classmethod
    def _from_loaded(cls, loaded: Loaded, file: str | None, environ: Mapping[str, str] | None) -> MeshConfig:
        return cls.from_read(read_one(loaded, file, os.environ if environ is None else environ), file, environ)

    @classmethod
    def from_read(cls, read: Read, file: str | None, environ: Mapping[str, str] | None = None) -> MeshConfig:
        """Raises ConfigurationError."""
        if read.fatal:
            raise configuration_error(read.part.problems)
        return cls(
            read.part.raw,
            file=file,
            sources=read.files,
            places=read.part.places,
            environ=environ,
            problems=(*read.part.problems, *faults_of_profiles(read.idle, environ)),
            written=read.part.written,
        )

    # -- typed views ----------------------------------------------------------------------------------

    @property
    def providers(self) -> dict[str, ProviderConfig]:
        return self._typed.providers

    @property
    def models(self) -> dict[str, ModelConfig]:
        return self._typed.models

    @property
    def pools(self) -> dict[str, PoolConfig]:
        return self._typed.pools

    @property
    def aliases(self) -> dict[str, str]:
        return self._typed.aliases

    @property
    def apps(self) -> dict[str, AppConfig]:
        return self._typed.apps

    @property
    def secrets(self) -> SecretsConfig:
        return self._typed.secrets

    @property
    def storage(self) -> StorageConfig:
        return self._typed.storage

    @property
    def responses(self) -> ResponsesConfig:
        return self._typed.responses

    @property
    def files(self) -> KeptFilesConfig:
        return self._typed.files

    @property
    def batches(self) -> BatchesConfig:
        return self._typed.batches

    @property
    def observability(self) -> ObservabilityConfig:
        return self._typed.observability

    @property
    def discovery(self) -> DiscoveryConfig:
        return self._typed.discovery

    @property
    def hooks(self) -> tuple[ConnectorEntry, ...]:
        return self._typed.hooks

    @property
    def proxy(self) -> ProxyConfig:
        return self._typed.proxy

    @property
    def daemon(self) -> DaemonConfig:
        return self._typed.daemon

    @property
    def capabilities(self) -> dict[str, Any]:
        """The section `capabilities`, as written."""
        return self._typed.capabilities

    def capability_tree(self) -> CapabilityTree:
        """The standard tree with this configuration's nodes."""
        from meshd.routing.table.capabilities import CapabilityTree

        tree = CapabilityTree.default()
        tree.add_all(self.capabilities)
        return tree

    @cached_property
    def _typed(self) -> RootConfig:
        try:
            root = RootConfig.model_validate(prune(RootConfig, resolve_secrets(self._flat, self._secrets)))
        except ValidationError:
            # From None: pydantic's own error may carry values.
            raise configuration_error(self.validate()) from None
        root = complete(root, resolve_secrets(implied_keys(self._flat), self._secrets))
        return without_awaited(root) if self._resolved else root

    # -- operations -----------------------------------------------------------------------------------

    def validate(self, registry: ConnectorRegistry | None = None) -> list[Problem]:
        """Everything that is wrong, in the order of the file; empty when valid."""
        from meshd.config.check.validation import Validation
        from meshd.connectors.registry import default_registry

        checks = Validation(self._flat, self._written, self.origins, self.file, registry or default_registry())
        found = dict.fromkeys([*self._load_problems, *self._form_problems, *checks.run()])
        order = dict.fromkeys(problem.file for problem in found)
        first = {file: number for number, file in enumerate([self.file, *order][::-1])}
        return sorted(found, key=lambda problem: (problem.line is None, -first[problem.file], problem.line or 0))

    def require_valid(self, registry: ConnectorRegistry | None = None) -> MeshConfig:
        """Returns itself. Raises ConfigurationError with every problem."""
        problems = self.validate(registry)
        if problems:
            raise configuration_error(problems)
        return self

    def merge(self, overrides: MeshConfig | Mapping[str, Any]) -> MeshConfig:
        """A new configuration with the overrides on top: maps are merged, everything else is replaced."""
        other: MeshConfig = (
            overrides if isinstance(overrides, MeshConfig) else MeshConfig.from_dict(overrides, environ=self._environ)
        )
        replaced: set[Path] = set()
        return MeshConfig(
            merged(self._written, other._written, replaced),
            file=self.file,
            sources=self.sources,
            places=without(self.origins, replaced),
            environ=self._environ,
            problems=self._load_problems,
            secrets=self._secrets | other._secrets,
        )

    def secret_references(self) -> dict[str, list[str]]:
        """Secret name → the paths that need it, without those of disabled providers.

        A provider without `api_key` whose connector has a key variable needs that secret too.
        """
        return {name: [dotted(path) for path in paths] for name, paths in self.secret_paths().items()}

    def secret_paths(self) -> dict[str, list[Path]]:
        """The same with each path in its parts, for names that have dots in them."""
        implied = {name: {"api_key": key} for name, key in implied_keys(self._flat).items()}
        found: dict[str, list[Path]] = {}
        for tree in (self._flat, {"providers": implied}):
            for path, text in strings(tree):
                if path[0] == "secrets" or self._is_disabled(path):
                    continue
                for name in secret_names(text):
                    found.setdefault(name, []).append(path)
        return found

    def awaited(self, *section: str) -> list[str]:
        """The secrets that a section refers to and that are not known."""
        wanted = self.secret_paths().items()
        return [
            name
            for name, paths in wanted
            if name not in self._secrets and any(path[: len(section)] == section for path in paths)
        ]

    def without_secret(self, path: Path) -> str:
        """What happens while the secret at `path` is not known, in words; "" if the configuration cannot be used."""
        return consequence(path, self._typed)

    def secrets_of_provider(self, name: str) -> set[str]:
        """The values in its section that are secret by their key, and those of referenced secrets."""
        return self._secrets_at(("providers", name))

    def secret_values(self) -> set[str]:
        """The same of the whole configuration."""
        return self._secrets_at(())

    def _secrets_at(self, path: tuple[str, ...]) -> set[str]:
        """Also those in variables, if the variable's name or the field says so, and those in addresses."""
        flat, written = _inside(self._flat, path), _inside(self._written, path)
        found = set[str]()
        for at, value in strings(resolve_secrets(flat, self._secrets), path):
            found |= {value} if is_secret_path(at) else credentials_of_address(value) if "://" in value else set()
        for _, text in strings(flat):
            found |= {self._secrets[secret] for secret in secret_names(text) if secret in self._secrets}
        for at, text in strings(written, path):
            of_field = may_hold_secret(at)
            found |= {value for name, value in env_values(text, self._environ) if of_field or is_secret_key(name)}
        return {value for value in found if value and "${" not in value}

    def problem_at(self, path: str | Path, message: str) -> Problem:
        """A problem that was found elsewhere, such as a missing secret, with its line."""
        if isinstance(path, str):
            known = {dotted(each): each for each in self.origins}
            text = path
            while text and text not in known:
                text = text.rpartition(".")[0]
            found = problem_in(self.origins, known[text] if text else (), message, file=self.file)
            return replace(found, path=path)
        return problem_in(self.origins, path, message, file=self.file)

    def with_secrets(self, values: Mapping[str, str]) -> MeshConfig:
        """A new configuration whose typed views hold these values; `raw` keeps the references. Sinks and discovery
        connectors that need another secret are left out of the views."""
        return MeshConfig(
            self.raw,
            file=self.file,
            sources=self.sources,
            places=self._places,
            environ=self._environ,
            problems=self._load_problems,
            secrets={**self._secrets, **values},
            resolved=True,
            written=self._texts,
        )

    def described(self) -> dict[str, Any]:
        """`files`: those that it was read from, the main one first. `profiles`: those in use. `origins`: where values
        are written."""
        files = self.sources.paths if self.sources is not None else [self.file] if self.file is not None else []
        profiles = self.sources.profiles if self.sources is not None else []
        return {"files": [*files], "profiles": [*profiles], "origins": origins_of(self.raw, self.origins)}

    def redacted(self) -> dict[str, Any]:
        """As written, with literal secrets masked; references are shown."""
        shown: dict[str, Any] = redact(self.raw)
        return shown

    def difference(self, other: MeshConfig) -> list[str]:
        """What changes from this configuration to the other, one line for each change."""
        secrets = {name: (self._secrets.get(name), other._secrets.get(name)) for name in self.secret_references()}
        rotated = [name for name, (old, new) in secrets.items() if old and new and old != new]
        lines = describe_difference(
            with_full_strategies(self._written), with_full_strategies(other._written), self._flat, other._flat
        )
        return [*lines, *(f"secret {name} changed" for name in rotated)]

    def dump(self, format: str = "yaml", *, redacted: bool = False) -> str:
        """The configuration as a file's text, as written, including literal secrets."""
        return dumping.dump(self.redacted() if redacted else self.raw, format)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, MeshConfig):
            return NotImplemented
        return (self._flat, self._secrets) == (other._flat, other._secrets)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        sizes = ", ".join(f"{name}: {len(value)}" for name, value in self.raw.items() if isinstance(value, dict | list))
        return f"MeshConfig({self.file or 'from memory'}; {sizes or 'empty'})"

    # -- inside ---------------------------------------------------------------------------------------

    def _is_disabled(self, path: Path) -> bool:
        if path[0] != "providers" or len(path) < 2:
            return False
        entries = self._flat["providers"]
        entry = entries.get(path[1]) if isinstance(entries, dict) else None
        return isinstance(entry, dict) and str(entry.get("enabled", True)).lower() == "false"


def _own_copy(value: Any) -> Any:
    """A deep copy in which all keys are text, as in a file."""
    if isinstance(value, Mapping):
        return {str(key): _own_copy(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_own_copy(item) for item in value]
    return copy.deepcopy(value)


def _inside(section: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        section = section.get(key) if isinstance(section, dict) else None
    return section
