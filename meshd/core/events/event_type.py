"""The names of the events that the daemon reports.

Owns: the only list of them, which the configuration, meshctl and whatever sends an event use.
"""

from __future__ import annotations

import enum


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
    MODEL_ROTATED = "model_rotated"
    POOL_MEMBERSHIP_CHANGED = "pool_membership_changed"
    PROVIDER_DEACTIVATED = "provider_deactivated"
    PROVIDER_HEALTH_CHANGED = "provider_health_changed"
    PROVIDER_RECOVERED = "provider_recovered"
    REQUEST_HEDGED = "request_hedged"
    SECRET_ROTATED = "secret_rotated"
    SECRET_STORE_RECOVERED = "secret_store_recovered"
    SECRET_STORE_UNREACHABLE = "secret_store_unreachable"
    STATE_RECOVERED = "state_recovered"
    STATE_UNWRITABLE = "state_unwritable"
    STRATEGY_SET_ASIDE = "strategy_set_aside"
    STREAM_CONTINUED = "stream_continued"
    USAGE_REPLACED = "usage_replaced"
