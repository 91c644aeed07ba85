"""The names of the events that the daemon reports.

Owns: the only list of them, which the configuration, meshctl and whatever sends an event use.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final


class EventType(enum.StrEnum):
    """The `type` of an event."""

    ACTOR_RESTARTED = "actor_restarted"
    BUDGET_ALERT = "budget_alert"
    BUDGET_EXCEEDED = "budget_exceeded"
    CLIENT_CONNECTED = "client_connected"
    CLIENT_LOST = "client_lost"
    CONFIG_REJECTED = "config_rejected"
    CONFIG_RELOADED = "config_reloaded"
    DISCOVERY_MODELS_UPDATED = "discovery_models_updated"
    EVENTS_MISSED = "events_missed"
    HOOK_FAILED = "hook_failed"
    LIMIT_ALERT = "limit_alert"
    LIMIT_EXCEEDED = "limit_exceeded"
    LOCAL_SERVER_DISTRUSTED = "local_server_distrusted"
    MODEL_ACTIVATED = "model_activated"
    MODEL_DEACTIVATED = "model_deactivated"
    MODEL_DEPRECATED = "model_deprecated"
    MODEL_ROTATED = "model_rotated"
    POOL_MEMBERSHIP_CHANGED = "pool_membership_changed"
    PRICE_CHANGED = "price_changed"
    PROVIDER_DEACTIVATED = "provider_deactivated"
    PROVIDER_HEALTH_CHANGED = "provider_health_changed"
    PROVIDER_RECOVERED = "provider_recovered"
    REQUEST_HEDGED = "request_hedged"
    SECRET_ROTATED = "secret_rotated"
    SECRET_STORE_RECOVERED = "secret_store_recovered"
    SECRET_STORE_UNREACHABLE = "secret_store_unreachable"
    STATE_RECOVERED = "state_recovered"
    STATE_UNWRITABLE = "state_unwritable"
    STORAGE_RECOVERED = "storage_recovered"
    STORAGE_UNREACHABLE = "storage_unreachable"
    STRATEGY_SET_ASIDE = "strategy_set_aside"
    STREAM_CONTINUED = "stream_continued"
    USAGE_REPLACED = "usage_replaced"


MEANINGS: Final[Mapping[EventType, str]] = {
    EventType.ACTOR_RESTARTED: "A part of the daemon failed and was started again.",
    EventType.BUDGET_ALERT: "A budget has reached its `alert_threshold`.",
    EventType.BUDGET_EXCEEDED: "A budget is used up.",
    EventType.CLIENT_CONNECTED: "An app has connected to the socket.",
    EventType.CLIENT_LOST: "An app's connection has ended.",
    EventType.CONFIG_REJECTED: "A new configuration is invalid; the old one stays in force.",
    EventType.CONFIG_RELOADED: "A new configuration is in force.",
    EventType.DISCOVERY_MODELS_UPDATED: "A provider's list of models has changed.",
    EventType.EVENTS_MISSED: "Events were left out, because the app did not read them in time.",
    EventType.HOOK_FAILED: "A hook raised an error or took too long.",
    EventType.LIMIT_ALERT: "A quota, or a limit of `deactivation`, has reached its `alert_threshold`.",
    EventType.LIMIT_EXCEEDED: "A quota, or a limit of `deactivation`, is used up.",
    EventType.LOCAL_SERVER_DISTRUSTED: "A model server on this machine is not used, because another user runs it.",
    EventType.MODEL_ACTIVATED: "A model may be asked again.",
    EventType.MODEL_DEACTIVATED: "A model is set aside; `cause` says why, and `changed.until` until when.",
    EventType.MODEL_DEPRECATED: "A model will be retired on `changed.day`; repeated when the day is near.",
    EventType.MODEL_ROTATED: "A pool has moved to another model.",
    EventType.POOL_MEMBERSHIP_CHANGED: "A pool's models have changed.",
    EventType.PRICE_CHANGED: "A model's prices have changed; `changed.prices` has the old and the new ones.",
    EventType.PROVIDER_DEACTIVATED: "All models of a provider are set aside.",
    EventType.PROVIDER_HEALTH_CHANGED: "Probes of a provider have begun to fail, or to succeed.",
    EventType.PROVIDER_RECOVERED: "A provider may be asked again.",
    EventType.REQUEST_HEDGED: "A second model was asked as well, because the first was slow.",
    EventType.SECRET_ROTATED: "A secret has a new value, which is in use.",
    EventType.SECRET_STORE_RECOVERED: "A secret store answers again.",
    EventType.SECRET_STORE_UNREACHABLE: "A secret store does not answer; the last known values stay in use.",
    EventType.STATE_RECOVERED: "State can be saved again.",
    EventType.STATE_UNWRITABLE: "State cannot be saved; requests are still served.",
    EventType.STORAGE_RECOVERED: "State is copied to the remote storage again.",
    EventType.STORAGE_UNREACHABLE: "Nothing is copied to the remote storage; the state directory has everything.",
    EventType.STRATEGY_SET_ASIDE: "A strategy from a package failed; the default one is used instead.",
    EventType.STREAM_CONTINUED: "A stream broke, and another attempt continued it.",
    EventType.USAGE_REPLACED: "A provider reported an impossible usage; the mesh's own count is used instead.",
}
