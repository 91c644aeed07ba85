"""What the author of a connector imports."""

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
