"""How long a pause that a provider asks for may be."""

from __future__ import annotations

from meshd.core.text.durations import format_duration
from meshd.routing.table.policies import RecoveryPolicy, RetryPolicy
from meshd.sdk.provider import FailureKind, ProviderFailure


def bound_wait(failure: ProviderFailure, retry: RetryPolicy, recovery: RecoveryPolicy) -> bool:
    """Cap a pause that the provider asks for at the longest cooldown, unless a quota resets at its end; the longer time
    is reported. Returns whether it was capped."""
    asked, longest = failure.retry_after, max(recovery.cooldown, recovery.max_cooldown)
    if asked is None or asked <= longest or not retry.honor_retry_after:
        return False
    said = f"its provider asked us to wait {format_duration(asked)}"
    if failure.kind is not FailureKind.QUOTA:
        failure.retry_after = longest
        said += f" and is asked again in {format_duration(longest)}"
    failure.message = f"{failure.message} ({said})"
    return True
