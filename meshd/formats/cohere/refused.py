"""What Cohere's API cannot say."""

from __future__ import annotations

from modelmesh.errors import InvalidRequestError


def refused(what: str, param: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"Cohere's API does not take {what}; leave it out, or ask a model of another provider",
        param=param,
        code="unsupported_parameter",
    )
