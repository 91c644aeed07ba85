"""AWS Secrets Manager, Systems Manager and S3, by moto's server."""

from __future__ import annotations

import logging
import os
from typing import Any
from unittest import mock
from uuid import uuid4

from botocore.session import Session
from moto.server import ThreadedMotoServer

_KEYS = {"AWS_SECRET_ACCESS_KEY": "s3cret", "AWS_REGION": "eu-central-1", "AWS_DEFAULT_REGION": "eu-central-1"}


class Aws:
    """One server; each `of` is an account of its own, unless it is named."""

    def __init__(self) -> None:
        logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
        self._server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        self._server.start()
        self.port: int = self._server.get_host_and_port()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def of(self, kind: str, account: str = "") -> AwsAccount:
        return AwsAccount(self.url, kind, account)

    def close(self) -> None:
        self._server.stop()


class AwsAccount:
    """kind: the store's id, or "s3". moto takes an access key's first digits for the account."""

    def __init__(self, url: str, kind: str, account: str) -> None:
        self.url = url
        services = {"aws.parameter-store.v1": "ssm", "s3": "s3"}
        self._service = services.get(kind, "secretsmanager")
        self._account = account or f"{uuid4().int % 10**12:012d}"
        with mock.patch.dict(os.environ, self.environment()):
            self._client: Any = Session().create_client(self._service, endpoint_url=url)

    def environment(self) -> dict[str, str]:
        return {"AWS_ACCESS_KEY_ID": self._account, "AWS_EC2_METADATA_DISABLED": "true", **_KEYS}

    def set(self, name: str, value: str) -> None:
        if self._service == "ssm":
            self._client.put_parameter(Name=name, Value=value, Type="SecureString", Overwrite=True)
            return
        try:
            self._client.put_secret_value(SecretId=name, SecretString=value)
        except self._client.exceptions.ResourceNotFoundException:
            self._client.create_secret(Name=name, SecretString=value)

    def make_bucket(self, name: str) -> None:
        self._client.create_bucket(
            Bucket=name, CreateBucketConfiguration={"LocationConstraint": _KEYS["AWS_DEFAULT_REGION"]}
        )

    def close(self) -> None:
        self._client.close()
