"""What is a request of the Converse API, by botocore's own description of it."""

from __future__ import annotations

from functools import cache
from typing import Any

from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.validate import ParamValidator

_SERVICE = "bedrock-runtime"


@cache
def _service() -> ServiceModel:
    return ServiceModel(Loader().load_service_model(_SERVICE, "service-2"), _SERVICE)


def check(body: dict[str, Any], operation: str = "Converse") -> None:
    """Raises AssertionError if it is not a request of that API. Unions have one member each."""
    shape = _service().operation_model(operation).input_shape
    report = ParamValidator().validate({"modelId": "m", **body}, shape)
    assert not report.has_errors(), report.generate_report()
