"""What the configuration currently says about batches for a model.

Must never: keep it: a reload may change it.
"""

from __future__ import annotations

from meshd.config.schema.routing.models import ModelBatchConfig
from meshd.gateway.runtime import Runtime

_NONE = ModelBatchConfig()


def batch_settings(runtime: Runtime, model: str) -> ModelBatchConfig:
    """model: its id; the defaults if it is not known."""
    configured = runtime.config.config.models.get(model) if runtime.config is not None else None
    return _NONE if configured is None else configured.batch
