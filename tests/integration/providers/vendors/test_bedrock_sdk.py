"""boto3 talks to the server that stands in for Bedrock, so that the server itself is known to be right."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError

from tests.support.formats.converse_frames import exception
from tests.support.providers.vendors.bedrock import KEY, SECRET, TOKEN, Bedrock, Frames, Refused, serving
from tests.support.providers.vendors.three_apis import Said

ASKED: Any = {
    "modelId": "eu.anthropic.claude-sonnet-4-5-20250929-v1:0",
    "messages": [{"role": "user", "content": [{"text": "Hello?"}]}],
}
ARN = "arn:aws:bedrock:eu-central-1:123456789012:inference-profile/eu.amazon.nova-pro-v1:0"


@pytest.fixture(scope="module")
def module_bedrock() -> Iterator[Bedrock]:
    with serving() as bedrock:
        yield bedrock


@pytest.fixture
def bedrock(module_bedrock: Bedrock) -> Bedrock:
    fresh = Bedrock()
    fresh.url = module_bedrock.url
    module_bedrock.__dict__.update(fresh.__dict__)
    return module_bedrock


def client(bedrock: Bedrock, secret: str = SECRET, token: str | None = None) -> Any:
    return boto3.client(
        "bedrock-runtime", region_name=bedrock.region, endpoint_url=bedrock.url, aws_access_key_id=KEY,
        aws_secret_access_key=secret, aws_session_token=token, config=Config(retries={"total_max_attempts": 1}),
    )  # fmt: skip


def test_converse(bedrock: Bedrock) -> None:
    bedrock.answer = Said(thought="Hm", sealed="c2ln", calls=(("f", {"x": 1}),), cached=3, written=2, lasting=1)
    answer = client(bedrock).converse(**ASKED)
    content = answer["output"]["message"]["content"]
    assert [*map(next, map(iter, content))] == ["reasoningContent", "text", "toolUse"]
    assert content[2]["toolUse"]["input"] == {"x": 1}
    assert answer["stopReason"] == "tool_use"
    assert answer["usage"] == {
        "inputTokens": 6, "outputTokens": 5, "totalTokens": 16, "cacheReadInputTokens": 3, "cacheWriteInputTokens": 2,
        "cacheDetails": [{"ttl": "1h", "inputTokens": 1}, {"ttl": "5m", "inputTokens": 1}],
    }  # fmt: skip
    [asked] = bedrock.asked
    assert (asked.model, asked.signed_by) == (ASKED["modelId"], KEY)


def test_converse_stream(bedrock: Bedrock) -> None:
    bedrock.answer = Said(calls=(("f", {"x": 1}),))
    events = list(client(bedrock).converse_stream(**{**ASKED, "modelId": ARN})["stream"])
    deltas = [event["contentBlockDelta"]["delta"] for event in events if "contentBlockDelta" in event]
    assert "".join(delta.get("text", "") for delta in deltas) == "Hello there"
    assert "".join(delta["toolUse"]["input"] for delta in deltas if "toolUse" in delta) == '{"x": 1}'
    assert next(iter(events[-1])) == "metadata"
    assert bedrock.asked[0].model == ARN


def test_errors(bedrock: Bedrock) -> None:
    bedrock.answer = Refused(429, "ThrottlingException", "Too many requests")
    with pytest.raises(ClientError) as throttled:
        client(bedrock).converse(**ASKED)
    assert throttled.value.response["Error"] == {"Message": "Too many requests", "Code": "ThrottlingException"}
    bedrock.answer = Frames([exception("modelStreamErrorException", "It failed")])
    with pytest.raises(EventStreamError, match="It failed"):
        list(client(bedrock).converse_stream(**ASKED)["stream"])


def test_credentials(bedrock: Bedrock) -> None:
    with pytest.raises(ClientError, match="InvalidSignatureException"):
        client(bedrock, secret="another").converse(**ASKED)
    bedrock.keys[KEY] = (SECRET, TOKEN)
    assert client(bedrock, token=TOKEN).converse(**ASKED)
    with pytest.raises(ClientError, match="ExpiredTokenException"):
        client(bedrock).converse(**ASKED)
