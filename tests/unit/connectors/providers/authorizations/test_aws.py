"""Signatures for AWS, with credentials as botocore finds them; checked by the specification, without AWS's code."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from meshd.connectors.providers.addresses import filled
from meshd.connectors.providers.authorizations.aws import PAUSE, AwsAuthorization
from meshd.connectors.providers.authorizations.known import authorization
from meshd.connectors.providers.aws_region import region_of
from meshd.host import clock
from meshd.host.installing import how_to_install
from meshd.sdk import FailureKind, ProviderFailure, ProviderSettings
from meshd.sdk.http.authorization import Unauthorized
from meshd.sdk.http.credentials import Credentials
from tests.support.providers.vendors.bedrock import BEARER, KEY, SECRET, TOKEN, signature_of
from tests.support.waiting import WAIT

PATH = "/model/arn%3Aaws%3Abedrock%2Fx/converse"
HEADERS = {"Content-Type": "application/json", "User-Agent": "meshd"}
SCOPE = "20261128", "eu-central-1", "bedrock"


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No credentials of the machine that runs the tests."""
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
                 "AWS_SESSION_TOKEN", "AWS_BEARER_TOKEN_BEDROCK"):  # fmt: skip
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return tmp_path


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    return monkeypatch


def settings(**auth: Any) -> ProviderSettings:
    return ProviderSettings("here", "aws.bedrock.v1", auth_method="aws", auth=auth)


def made(masks: Credentials | None = None, **auth: Any) -> AwsAuthorization:
    found = authorization(settings(**auth), (masks or Credentials()).learn)
    assert isinstance(found, AwsAuthorization)
    return found


async def signed(signer: AwsAuthorization, body: bytes = b"{}") -> Mapping[str, str]:
    request = Unauthorized("POST", f"http://127.0.0.1:81{PATH}", HEADERS, body)
    return {name.lower(): value for name, value in (await signer.headers(request)).items()}


def check(given: Mapping[str, str], body: bytes = b"{}", *, key: str = KEY, secret: str = SECRET) -> None:
    found = re.fullmatch(
        r"AWS4-HMAC-SHA256 Credential=(\w+)/(\d+)/(.+?)/(\w+)/aws4_request, SignedHeaders=(.+), Signature=(\w+)",
        given["authorization"],
    )
    assert found is not None
    names = found[5].split(";")
    assert {"host", "x-amz-date", "content-type"} <= set(names)
    headers = {**given, "host": "127.0.0.1:81", "content-type": "application/json"}
    assert found[1] == key
    assert found[6] == signature_of(PATH, headers, body, names, secret, (found[2], found[3], found[4]))


@pytest.mark.parametrize("size", [2, 300_000])
async def test_credentials_of_the_environment(environment: pytest.MonkeyPatch, size: int) -> None:
    environment.setenv("AWS_SESSION_TOKEN", TOKEN)
    masks = Credentials()
    given = await signed(made(masks), b"x" * size)
    check(given, b"x" * size)
    assert given["x-amz-security-token"] == TOKEN
    assert "x-amz-security-token" in given["authorization"], "it is signed, too"
    assert {SECRET, TOKEN} <= set(masks.secrets)


async def test_credentials_of_a_profile(home: Path) -> None:
    (home / "credentials").write_text(f"[work]\naws_access_key_id={KEY}\naws_secret_access_key={SECRET}\n")
    (home / "config").write_text("[profile work]\nregion = eu-central-1\n")
    given = await signed(made(profile="work"))
    check(given)
    assert "/eu-central-1/bedrock/" in given["authorization"]


def process(home: Path, key: str, minutes: float) -> None:
    """A profile whose process gives this key; it counts how often it is asked."""
    ends = (datetime.now(UTC) + timedelta(minutes=minutes)).isoformat()
    told = {"Version": 1, "AccessKeyId": key, "SecretAccessKey": SECRET, "SessionToken": TOKEN, "Expiration": ends}
    script = home / "process.py"
    script.write_text(f"open({str(home / 'asked')!r}, 'a').write('.')\nprint({json.dumps(told)!r})")
    (home / "config").write_text(f"[profile sso]\ncredential_process = {sys.executable} {script}\nregion = us-east-1\n")


async def test_credentials_that_end_are_renewed_before(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    process(home, "FIRST00000000000001", minutes=12)
    signer = made(profile="sso")
    given = await asyncio.gather(*(signed(signer) for _ in range(5)))
    for each in given:
        check(each, key="FIRST00000000000001")
    assert (home / "asked").read_text() == "..", "botocore renews at once what ends so soon, once for all of them"
    process(home, "SECOND0000000000002", minutes=120)
    check(await signed(signer), key="FIRST00000000000001")
    later = clock.now() + PAUSE + 1
    monkeypatch.setattr(clock, "now", lambda: later)
    check(await signed(signer), key="FIRST00000000000001")  # it still holds, and is renewed meanwhile
    others = asyncio.all_tasks() - {asyncio.current_task()}
    await asyncio.wait([task for task in others if task is not None], timeout=WAIT)
    check(await signed(signer), key="SECOND0000000000002")
    assert (home / "asked").read_text() == "..."
    await signer.aclose()


async def test_refused_credentials_are_read_again(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def keys(key: str) -> None:
        (home / "credentials").write_text(f"[default]\naws_access_key_id={key}\naws_secret_access_key={SECRET}\n")

    keys("FIRST00000000000001")
    signer = made(region="us-east-1")
    given = await signer.headers(Unauthorized("POST", f"http://127.0.0.1:81{PATH}", HEADERS, b"{}"))
    keys("SECOND0000000000002")
    assert not signer.refused(given), "they were read just now"
    later = clock.now() + PAUSE + 1
    monkeypatch.setattr(clock, "now", lambda: later)
    assert signer.refused(given)
    check(await signed(signer), key="SECOND0000000000002")
    assert signer.refused(given), "others were signed with since"
    check(await signed(signer), key="SECOND0000000000002")


async def test_without_credentials(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    signer = made(region="us-east-1")
    for _ in range(2):
        with pytest.raises(ProviderFailure, match="no AWS credentials") as caught:
            await signed(signer)
        assert caught.value.kind is FailureKind.AUTHENTICATION
        assert caught.value.unsent
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(ProviderFailure, match="nobody"):
        await signed(made(region="us-east-1"))
    (home / "config").write_text("[profile nobody]\ncredential_process = false\n")
    with pytest.raises(ProviderFailure, match="no AWS credentials"):
        await signed(made(region="us-east-1", profile="nobody"))


async def test_a_key_of_bedrock_counts_first(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("AWS_BEARER_TOKEN_BEDROCK", BEARER)
    masks = Credentials()
    assert await signed(made(masks)) == {"authorization": f"Bearer {BEARER}"}
    assert BEARER in masks.secrets
    assert not made().refused({"Authorization": f"Bearer {BEARER}"})


async def test_a_body_that_still_comes_is_not_signed(environment: pytest.MonkeyPatch) -> None:
    with pytest.raises(ProviderFailure) as caught:
        await made().headers(Unauthorized("POST", "http://127.0.0.1/", {}, None))
    assert (caught.value.kind, caught.value.unsent) == (FailureKind.UNSUPPORTED, True)


def test_the_region(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where = "https://bedrock-runtime.${aws:region}.amazonaws.com"
    with pytest.raises(ValueError, match="set AWS_REGION"):
        made()
    (home / "config").write_text("[default]\nregion = eu-west-1\n[profile work]\nregion = eu-west-2\n")
    assert region_of(settings()) == "eu-west-1"
    assert region_of(settings(profile="work")) == "eu-west-2"
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-3")
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    assert filled(where, settings(profile="work")) == "https://bedrock-runtime.us-west-2.amazonaws.com"
    assert region_of(settings(region="ca-central-1")) == "ca-central-1"
    named = ProviderSettings("here", "c", base_url="https://bedrock-runtime-fips.us-gov-west-1.amazonaws.com")
    assert region_of(named) == "us-gov-west-1"
    assert filled("https://example.com", settings()) == "https://example.com"
    for bad in ("us/../east", "a.b", "x" * 40, "Us-east-1"):
        with pytest.raises(ValueError, match="not an AWS region"):
            region_of(settings(region=bad))
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.delenv("AWS_REGION")
    with pytest.raises(ValueError, match="nobody"):
        region_of(settings(profile="nobody"))


def test_without_botocore(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "botocore.session", None)
    with pytest.raises(ValueError, match=re.escape(how_to_install("aws"))):
        made(region="us-east-1")
