"""What authors of connectors import."""

from meshd.sdk.provider import (
    FailureKind,
    ModelListing,
    OperationSpec,
    Provider,
    ProviderAnswer,
    ProviderCall,
    ProviderFailure,
    ProviderSettings,
    RateLimits,
    StreamEvent,
    Usage,
)

__all__ = [
    "FailureKind",
    "ModelListing",
    "OperationSpec",
    "Provider",
    "ProviderAnswer",
    "ProviderCall",
    "ProviderFailure",
    "ProviderSettings",
    "RateLimits",
    "StreamEvent",
    "Usage",
]
