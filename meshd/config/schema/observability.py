"""The section `observability`: events, the request log, statistics, traces.

Owns: the three sub-sections and their short forms (an id, a list, a map with `connector`).
Must never: choose a sink if none is named; the process does that, depending on its environment.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from meshd.config.schema.base import Duration, Entries, Fraction, Names, OpenSection, Section, Size
from meshd.core.events.event_type import EventType

PersonalKind = Literal["email", "phone", "iban", "card", "ip", "mac", "ssn"]
Severity = Literal["debug", "info", "warning", "error", "critical"]


def _always(value: bool) -> bool:
    if not value:
        raise PydanticCustomError("meshd", "expected {expected}", {"expected": "true: keys are masked at every level"})
    return value


class SinksSection(OpenSection):
    """A sub-section that writes to one sink or several. Keys beyond its own belong to the sinks it names."""

    connector: Entries = Field(
        default=(),
        description="Sink: a connector id, or a list; an entry may be a map with `connector` and its own keys.",
        json_schema_extra={"shown_default": "the journal under systemd, the console on a terminal"},
    )

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, value: Any) -> Any:
        return {"connector": value} if isinstance(value, str | list | tuple) else value


class RoutingSinks(SinksSection):
    events: tuple[EventType, ...] = Field(
        default=(), description="Only these event types.", json_schema_extra={"shown_default": "all"}
    )


class LoggingSinks(SinksSection):
    level: Literal["metadata", "summary", "full"] = Field(
        default="metadata",
        description="How much of a request is logged: `metadata`, `summary` (also the first characters of prompt and "
        "answer) or `full` (also the whole prompt and answer).",
    )
    redact_secrets: Annotated[bool, AfterValidator(_always)] = Field(default=True, description="Mask keys and tokens.")
    max_payload_size: Size = Field(
        default=65536, description="Most bytes of a prompt, and of an answer, that `full` logs."
    )
    redact_personal: tuple[PersonalKind, ...] = Field(
        default=tuple(get_args(PersonalKind)),
        description="Personal data that is masked in prompts and answers.",
    )
    presidio_model: str | None = Field(
        default=None,
        description="The spaCy model with which Presidio (extra `presidio`) masks names and places: `en_core_web_sm`, "
        "or the path of one.",
        json_schema_extra={"shown_default": "none; Presidio is not used"},
    )
    sample_rate: Fraction = Field(
        default=1.0, description="The fraction of answered requests that is logged; all others always are."
    )


class StatisticsSinks(SinksSection):
    connector: Entries = Field(
        default=(),
        description="Sink that statistics are also written to: a connector id, or a list.",
        json_schema_extra={"shown_default": "none; they are kept for `meshctl stats`"},
    )
    flush_interval: Duration = Field(default=60.0, description="Time between two flushes.")
    metrics_interval: Duration = Field(
        default=15.0, description="Time between two readings for metrics sinks, at least 1 s."
    )
    retention: Duration = Field(default=30 * 86400.0, description="How long statistics are kept.")
    spend_retention: Duration = Field(
        default=400 * 86400.0, description="How long spend by app, user, project, agent, session and label is kept."
    )
    scopes: tuple[Literal["model", "provider", "pool", "app"], ...] = Field(
        default=("model", "provider", "pool", "app"), description="Dimensions that are counted."
    )


class TracingConfig(SinksSection):
    connector: Entries = Field(
        default=(),
        description="Sink that takes traces: a connector id, or a list.",
        json_schema_extra={"shown_default": "none; requests are not traced"},
    )
    min_severity: Severity = Field(
        default="info",
        description="Lowest severity traced: an answer is `info`, a 4xx `warning`, a 5xx `error`.",
    )
    sample_ratio: Fraction = Field(default=1.0, description="Fraction of requests that are traced.")
    follow_parent: bool = Field(
        default=True,
        description="An app's `traceparent` decides whether its request is traced, regardless of `sample_ratio`.",
    )
    propagate: Names = Field(
        default=(),
        description="Providers that get `traceparent` and `tracestate`; `*`: all.",
        json_schema_extra={"shown_default": "none"},
    )
    content: bool = Field(
        default=False,
        description="Include prompts and answers in traces, masked and limited as in `logging`.",
    )


class ObservabilityConfig(Section):
    routing: RoutingSinks = Field(default=RoutingSinks.unset(), description="Events.")
    logging: LoggingSinks = Field(default=LoggingSinks.unset(), description="The request log.")
    statistics: StatisticsSinks = Field(default=StatisticsSinks.unset(), description="Statistics.")
    tracing: TracingConfig = Field(default=TracingConfig.unset(), description="Traces.")
