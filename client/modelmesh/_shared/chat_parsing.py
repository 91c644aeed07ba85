"""The parameters of a chat whose answer is parsed into the app's own classes, and that answer.

Must never: import what parsing needs before an app asks for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_origin

from modelmesh._openai_sdk.arguments import given
from modelmesh._openai_sdk.errors import as_sdk_error
from modelmesh._shared.base_sender import as_read
from modelmesh.errors import MeshError
from modelmesh.types import ChatCompletion


def sent(params: dict[str, Any]) -> dict[str, Any]:
    """The parameters, with a class given as `response_format` replaced by its schema."""
    wanted = params.get("response_format")
    if wanted is None or (not isinstance(wanted, type) and get_origin(wanted) is None):
        return params
    from modelmesh._openai_sdk.structured_output import sent_format

    return {**params, "response_format": sent_format(wanted)}


def prepared(
    helper: str, response_format: Any, tools: Any, params: Mapping[str, Any]
) -> tuple[list[Any], dict[str, Any]]:
    """(the tools as a list, all parameters of `create`)."""
    if "stream" in params:
        raise TypeError(f"{helper}() got an unexpected keyword argument 'stream'")
    listed = list(tools) if given(tools) and tools is not None else []
    if helper == "parse":
        from modelmesh._openai_sdk.structured_output import check_tools

        check_tools(listed)
    return listed, {"response_format": response_format, "tools": listed if given(tools) else tools, **params}


def read_answer(answer: Any, response_format: Any, tools: list[Any]) -> Any:
    """The answer, parsed as the parameters ask. A raw response is read when it is parsed."""
    from modelmesh._openai_sdk.structured_output import read_completion

    def read(completion: ChatCompletion) -> ChatCompletion:
        try:
            return read_completion(completion, response_format, tools)
        except MeshError as error:
            as_sdk_error(error)
            raise

    return as_read(answer, read)
