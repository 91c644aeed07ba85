"""What code written for the OpenAI SDK relies on: its errors' classes, its constructor, its dumps."""

from __future__ import annotations

import pickle
import subprocess
import sys
import warnings

import openai
import pytest
from openai.types.chat import ChatCompletion as SdkChatCompletion

import modelmesh
from modelmesh._openai_sdk.errors import as_sdk_error
from modelmesh.errors import from_wire
from modelmesh.types import ChatCompletion
from tests.support.client.calls import error_classes

NAMES = sorted(error_classes())
STATUSES = [400, 401, 402, 403, 404, 408, 409, 418, 422, 429, 500, 502, 503, 504, 529]


@pytest.mark.parametrize("name", NAMES)
def test_every_error_is_one_of_the_sdks_and_still_its_own(name):
    own = error_classes()[name]
    error = as_sdk_error(from_wire(own.status_code, {"message": "m", "code": "c"}, {"class": name}, "id"))
    assert isinstance(error, openai.APIError)
    assert isinstance(error, own)
    assert (str(error), error.message, error.code, error.request_id) == ("m", "m", "c", "id")
    assert type(error).__name__ == name
    assert repr(error.request.url)
    if isinstance(error, openai.APIStatusError):
        assert error.response.status_code == error.status_code
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert (str(copy), copy.code) == ("m", "c")
    assert as_sdk_error(error) is error


@pytest.mark.parametrize("status", STATUSES)
def test_a_status_is_the_class_that_the_sdk_makes_of_it(status):
    import httpx2

    answers = httpx2.MockTransport(lambda request: httpx2.Response(status))
    with (
        openai.OpenAI(api_key="x", max_retries=0, http_client=httpx2.Client(transport=answers)) as sdk,
        pytest.raises(openai.APIStatusError) as theirs,
    ):
        sdk.models.list()
    ours = as_sdk_error(from_wire(status, {"message": "m"}, {}))
    if status not in (499, 504):  # ours has a class for it that says more, of the same family
        assert isinstance(ours, theirs.type)
    assert isinstance(ours, openai.APIStatusError)


def test_a_program_without_the_sdk_does_not_import_it():
    code = (
        "import sys, modelmesh\n"
        "try: modelmesh.OpenAIClient('/nowhere/x', max_retries=0).models.list()\n"
        "except modelmesh.DaemonUnavailableError as error: print(type(error).__mro__[1].__name__)\n"
        "print('openai' in sys.modules, 'httpx' in sys.modules, 'pydantic' in sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert ended.stdout.split() == ["APIConnectionError", "False", "False", "False"]


def test_no_daemon_is_not_a_connection_as_the_sdk_says():
    with modelmesh.OpenAIClient("/nowhere/x", max_retries=0) as client, pytest.raises(openai.APIConnectionError):
        client.chat.completions.create(model="m", messages=[])


IGNORED = {
    "api_key": "sk-x",
    "base_url": "http://x/v1",
    "organization": "o",
    "project": "p",
    "http_client": object(),
    "websocket_base_url": "ws://x",
}


@pytest.mark.parametrize("cls", [modelmesh.OpenAIClient, modelmesh.AsyncOpenAIClient])
@pytest.mark.parametrize("name", sorted(IGNORED))
def test_what_the_sdk_takes_is_taken_with_a_warning(cls, name):
    with pytest.warns(UserWarning, match=name) as caught:
        cls("/nowhere/x", **{name: IGNORED[name]})
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cls("/nowhere/x", **{name: None})
    with pytest.raises(TypeError, match="nonsense"):
        cls("/nowhere/x", nonsense=1)


def test_every_argument_of_the_sdks_client_is_known():
    import inspect

    from modelmesh._openai_sdk.arguments import OF_THE_SDK

    theirs = set(inspect.signature(openai.OpenAI.__init__).parameters) - {"self"}
    ours = set(inspect.signature(modelmesh.OpenAIClient.__init__).parameters)
    assert theirs - ours - OF_THE_SDK == set()


ANSWER = {
    "id": "x",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [
        {
            "index": index,
            "finish_reason": "stop",
            "logprobs": None,
            "message": {"role": "assistant", "content": f"text {index}", "refusal": None},
        }
        for index in range(3)
    ],
    "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
}


@pytest.mark.parametrize(
    "options",
    [
        {"include": {"id", "model"}},
        {"exclude": {"id", "usage"}},
        {"exclude": {"choices": True}},
        {"include": {"choices": {0: {"message": {"content"}}}}},
        {"exclude": {"choices": {"__all__": {"message": {"content", "role"}}}}},
        {"exclude": {"choices": {0: True, 2: {"finish_reason"}}}},
        {"include": {"choices": {"__all__": {"index"}, 1: {"finish_reason": True}}}},
        {"include": {"id", "choices"}, "exclude": {"choices": {1}}},
        {"exclude": {"choices": {-1: True}}},
        {"exclude": set()},
        {"include": set()},
        {"mode": "json", "exclude": {"created"}},
        {"mode": "python", "exclude_none": True},
        {"exclude_unset": True, "by_alias": True, "warnings": False},
        {"round_trip": False, "exclude_unset": True},
    ],
)
def test_a_dump_is_what_the_sdk_dumps(options):
    theirs = SdkChatCompletion.model_validate(ANSWER).model_dump(**{"exclude_unset": True, **options})
    ours = ChatCompletion.of(ANSWER).model_dump(**{"exclude_unset": True, **options})
    assert ours == theirs
    import json

    json_options = {name: value for name, value in options.items() if name != "mode"}
    assert json.loads(ChatCompletion.of(ANSWER).model_dump_json(**{"exclude_unset": True, **json_options})) == theirs
