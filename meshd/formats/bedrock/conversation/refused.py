"""The error for what this API cannot say."""

from __future__ import annotations

from modelmesh.errors import InvalidRequestError

FORMAT = "bedrock"


def refused(what: str, param: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"Bedrock's Converse API does not take {what}; leave it out, or ask a model of another provider",
        param=param,
        code="unsupported_parameter",
    )
