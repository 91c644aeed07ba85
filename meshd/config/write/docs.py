"""Writes docs/configuration.md from the schema: `python -m meshd.config.write.docs`.

Owns: the form of that page. Keys, defaults and meanings come only from the schema and the registry.
Must never: state a fact about a key that the schema does not.
"""

from __future__ import annotations

import sys
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from meshd.config.schema import (
    BatchesConfig,
    DaemonConfig,
    DiscoveryConfig,
    KeptFilesConfig,
    ModelConfig,
    ObservabilityConfig,
    PoolConfig,
    ProviderConfig,
    ResponsesConfig,
    SecretsConfig,
    StorageConfig,
)
from meshd.config.schema.access import AppConfig, ConnectorsConfig
from meshd.config.schema.base import ConnectorEntry
from meshd.config.schema.proxy import ProxyConfig
from meshd.config.schema.root import RootConfig
from meshd.config.schema_walk import keys_of
from meshd.config.units import write_duration, write_size
from meshd.config.write.docs_text import FILES
from meshd.connectors.registry import ConnectorRegistry
from meshd.routing.select.attributes import ATTRIBUTES
from meshd.routing.select.expression import FUNCTIONS

PAGE = Path("docs") / "configuration.md"

_INTRO = """\
# Configuration

<!-- Written by `python -m meshd.config.write.docs` from the schema. Change the schema, not this page. -->

The configuration is one file ([or several](#several-files)) in YAML, TOML or JSON. The file's extension says which; the
structure is the same in all three. The daemon looks for the file in this order:

1. `meshd --config PATH`
2. `$MESHD_CONFIG`
3. `$XDG_CONFIG_HOME/meshd/mesh.yaml` (`~/.config/meshd/mesh.yaml`)
4. `/etc/meshd/mesh.yaml`
5. none: the daemon builds its own configuration, see [Without a file](#without-a-file)

```yaml
secrets:
  store: [modelmesh.env.v1, systemd.credentials.v1]

providers:
  openai:
    api_key: ${secrets:OPENAI_API_KEY}
    timeout: 30s
  house:
    connector: openai-compatible.v1
    base_url: http://${env:HOUSE_HOST:-127.0.0.1}:9000/v1
    auth: {method: none}

models:
  house.qwen:
    capabilities: [chat-completion]
    constraints: {context_window: 32768}

pools:
  chat:
    capability: chat-completion
    models: [house.qwen]
    strategy: priority-selection
    provider_priority: [house, openai]
```

`meshctl config validate` reports every problem at once, each with its line and what was probably meant. A file without
problems is then tried on this machine: its certificates and keys are read, and its hooks, strategies and other
connectors are created, so that it also reports what a daemon here would refuse.
`meshctl config schema` prints the JSON Schema, which editors use to complete and check the file.
If the file is invalid, the daemon does not start (exit status 78), and a reload keeps the running configuration.

## Rules

- **Durations**: `500ms`, `60s`, `5m`, `1h30m`, `7d`, or a number of seconds.
- **Sizes**: `512MB` (decimal), `1GiB` (binary), or a number of bytes.
- **Money**: USD, such as `0.15`; stored in whole billionths of a dollar, never as a float.
- Keys that begin with **`x-`** at the top level are ignored, so that you can define YAML anchors there:
  `x-slow: &slow {timeout: 5m, max_retries: 2}`, then `house: {<<: *slow, …}` below `providers`.
- **Names**: letters, digits and `. - _ / :`.
- **`${secrets:NAME}`** in any text stands for a secret, which is read from the stores below when the provider needs
  it. Its value never appears in a log, an error or `meshctl config show`.
- **`${env:NAME}`** and **`${env:NAME:-default}`** stand for environment variables, read together with the file. The
  default also applies if the variable is empty.
- The keys of a provider or pool may also be written **under `config:`** below its name; this makes no difference.
"""

_SELECTION = """\
### Expressions for require and select

Every member must meet `require`; if a key has a list, any one of its values is enough. `select` is an expression: a
condition decides membership, a number ranks the members, highest first, and `condition and number` does both.

```yaml
pools:
  text-generation:
    require:
      features.tool_calling: true
      constraints.context_window: ">=100000"
    select: pricing.output_per_1m < 5 and -pricing.output_per_1m
  chat-completion:
    select: error_rate < 0.2 or not known(error_rate)
```

- **Declared attributes** of a model: {declared}. Prices are in USD; `capabilities` are those that the model
  serves and all above them in the tree.
- **Live attributes**, evaluated for each request: {live}. Times are in seconds, costs in USD; `headroom` is the
  fraction left of its rate limits; `failures` and `error_rate` are those in the pool, as `deactivation` counts them.
- **Operators and functions**: `and`, `or`, `not`, `in`, `if … else`, comparisons, `+ - * /`, lists of texts or numbers,
  and {functions}.
- A comparison with an unknown value is false. `known()` and `default()` handle such values.
- A number that uses only declared attributes gives the strategy its order of members. A number that uses a live
  attribute determines the order itself, and the strategy decides only between equal members.
"""

_ALIASES = """\
```yaml
aliases:
  gpt-4o-mini: chat-completion   # one name
  claude-*: text-generation      # every name that begins with claude-
```

- In a pattern, `*` stands for any characters, `?` for one. An exact name takes precedence; otherwise, the first
  pattern in the file that matches applies.
- Names of pools, capabilities and models take precedence over aliases, including models that only a provider lists.
- An alias stands for a pool, a capability or a model, not for another alias. An app that may use what an alias stands
  for may use the alias.
- Lists of models show exact names. A pattern that ends in `*` appears with its target in place of the `*`:
  `claude-text-generation`.
"""

_ZERO = """\
## Without a file

Without a file, the daemon uses what the machine offers, in this order of preference:

1. every provider whose key is in the environment or in systemd's credentials:
{providers}
2. every local server that answers ({servers}), if root, a system user or the daemon's own user runs it
   ([operating.md](operating.md#servers-on-this-machine));
3. the embedded models of the extras `local` and `speech`, if these are installed.

`meshctl config show` prints the resulting configuration, and `meshctl config init` writes it to a commented file as a
starting point.
"""

_SECTIONS: tuple[tuple[str, type[BaseModel], str], ...] = (
    ("secrets", SecretsConfig, "secret-store"),
    ("providers.NAME", ProviderConfig, "provider"),
    ("models.ID", ModelConfig, ""),
    ("pools.NAME", PoolConfig, "rotation"),
    ("storage", StorageConfig, "storage"),
    ("observability", ObservabilityConfig, "observability"),
    ("discovery", DiscoveryConfig, "discovery"),
    ("hooks", ConnectorEntry, "hook"),
    ("daemon", DaemonConfig, ""),
    ("connectors", ConnectorsConfig, ""),
    ("responses", ResponsesConfig, ""),
    ("files", KeptFilesConfig, ""),
    ("batches", BatchesConfig, ""),
    ("proxy", ProxyConfig, ""),
    ("apps.NAME", AppConfig, ""),
)


def page() -> str:
    """The whole page."""
    parts = [_INTRO, FILES]
    for title, section, kind in _SECTIONS:
        parts.append(_section(title, section, kind))
        if title == "models.ID":
            parts.append(_model_note())
        elif title == "pools.NAME":
            parts.append(_selection())
            parts.append(f"## aliases\n\n{RootConfig.model_fields['aliases'].description}\n\n{_ALIASES}")
    parts.append(_capabilities())
    parts.append(_ZERO.format(providers=_keys(), servers=_servers()))
    return "\n".join(parts)


def _section(title: str, section: type[BaseModel], kind: str) -> str:
    top = RootConfig.model_fields[title.partition(".")[0]]
    rows = "\n".join(map(_row, settings_of(section)))
    table = f"| key | meaning | default |\n| --- | --- | --- |\n{rows}\n"
    return f"## {title}\n\n{top.description}\n\n{table}" + (_connectors(kind) if kind else "")


class Setting(NamedTuple):
    """default: as Markdown."""

    key: str
    meaning: str
    default: str


def section_of(kind: str) -> tuple[str, type[BaseModel]]:
    """The section that names connectors of this type: its path and its schema."""
    return next((title, section) for title, section, each in _SECTIONS if each == kind)


def settings_of(section: type[BaseModel], prefix: str = "") -> Iterator[Setting]:
    for name, info in section.model_fields.items():
        key = keys_of(section)[name]
        if key.below is not None and not key.many:
            yield from settings_of(key.below, f"{prefix}{name}.")
            continue
        yield Setting(f"{prefix}{name}", _meaning(info), _default(info))


def _row(setting: Setting) -> str:
    return f"| `{setting.key}` | {_cell(setting.meaning)} | {_cell(setting.default)} |"


def _meaning(info: FieldInfo) -> str:
    """Its description; a key with few values lists those that the description does not mention."""
    described, values = info.description or "", _values(info.annotation)
    if all(f"`{value}`" in described for value in values):
        return described
    return f"{described} Values: {', '.join(f'`{value}`' for value in values)}."


def _values(annotation: Any) -> tuple[str, ...]:
    """The values that the type lists; empty if it has others, too."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        return tuple(map(str, arguments))
    inside = [each for each in arguments if each not in (type(None), ...)]
    if origin in (tuple, typing.Union, types.UnionType) and len(inside) == 1:
        return _values(inside[0])
    return ()


def _default(info: FieldInfo) -> str:
    extra = info.json_schema_extra
    if isinstance(extra, dict) and "shown_default" in extra:
        shown = str(extra["shown_default"])
        # Words stay plain; an id is formatted as code.
        return shown if " " in shown or "`" in shown or "." not in shown else f"`{shown}`"
    if info.is_required():
        return "required"
    value = info.default
    if value is None or value in ((), {}, ""):
        return ""
    return f"`{_with_unit(value, info)}`"


def _with_unit(value: Any, info: FieldInfo) -> str:
    unit = _unit_of(info)
    if unit == "duration":
        return write_duration(value)
    if unit == "size":
        return write_size(value)
    if unit == "mode":
        return f"{value:04o}"
    return _plain(value)


def _unit_of(info: FieldInfo) -> str | None:
    for item in info.metadata:
        schema = getattr(item, "json_schema", None)
        if isinstance(schema, dict) and "x-unit" in schema:
            return str(schema["x-unit"])
    return None


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple | list):
        return "[" + ", ".join(_plain(item) for item in value) + "]"
    if isinstance(value, float):
        return f"{value:g}"
    return str(value)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


# -- connectors ---------------------------------------------------------------------------------------


def _builtin(kind: str) -> list[Any]:
    """The connectors of this distribution, without others that are installed on the author's machine."""
    return ConnectorRegistry(outside=False).list_connectors(kind)


def _connectors(kind: str) -> str:
    if not _builtin(kind):
        return f"\nThe daemon comes with none; [Write a connector](connectors.md#{kind}) shows how to write one.\n"
    lines = ["", "| connector | what it is | its own keys |", "| --- | --- | --- |"]
    for spec in _builtin(kind):
        settings = spec.load_settings()
        keys = ", ".join(_setting(name, info) for name, info in settings.model_fields.items()) if settings else ""
        keys = f"always in use; `{spec.section}` configures it" if spec.section else keys
        names = f"`{spec.id}`" + "".join(f", `{alias}`" for alias in spec.aliases)
        extra = f" Needs the extra `{spec.extra}`." if spec.extra else ""
        lines.append(f"| {names} | {_cell(spec.description)}.{extra} | {_cell(keys)} |".replace("..", "."))
    return "\n".join(lines) + "\n"


def _setting(name: str, info: FieldInfo) -> str:
    default = _default(info)
    return f"`{name}` ({(info.description or '').rstrip('.')}{f'; {default}' if default else ''})"


def _model_note() -> str:
    return (
        "A request is never sent to a model if it uses a feature that the model declares as `false`, or if it needs "
        "more tokens than the model's window. A feature that neither the model's entry nor the catalogue declares is "
        "unknown: the model is asked after those that declare it.\n"
    )


def _selection() -> str:
    names = {
        live: ", ".join(f"`{name}`" for name, attribute in ATTRIBUTES.items() if attribute.live is live)
        for live in (False, True)
    }
    functions = ", ".join(f"`{name}()`" for name in FUNCTIONS)
    return _SELECTION.format(declared=names[False], live=names[True], functions=functions)


def _capabilities() -> str:
    about = RootConfig.model_fields["capabilities"].description
    return (
        f"## capabilities\n\n{about}\n\n"
        "```yaml\ncapabilities:\n  compliance: [pii-detection, regulatory-review]\n"
        "  text-generation: [poetry]   # under a node that exists\n```\n"
    )


def _keys() -> str:
    rows = [spec for spec in _builtin("provider") if spec.key_env and spec.row.get("zero_config") is not False]
    return "\n".join(f"   - {spec.short_name}: {' or '.join(f'`{name}`' for name in spec.key_env)}" for spec in rows)


def _servers() -> str:
    ports = {spec.short_name: spec.row.get("port") for spec in _builtin("provider") if spec.row.get("local")}
    names: tuple[str, ...] = DiscoveryConfig().local.servers
    return ", ".join(f"{name} ({ports[name]})" if ports.get(name) else name for name in names)


def main(arguments: list[str]) -> int:
    target = Path(arguments[0]) if arguments else PAGE
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(page(), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
