"""`aws.secrets-manager.v1` and `aws.parameter-store.v1`, through `botocore`.

Owns: their calls, and what botocore's errors mean. Credentials are found as AWS's own tools find them.
Must never: import botocore before a store is asked, or show a value in an error.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from meshd.connectors.secrets.remote.remote_store import Content, RemoteStore
from meshd.connectors.secrets.said import said
from meshd.sdk.secrets import SecretMissing, SecretStoreError, SecretStoreUnreachable

_MISSING = ("ResourceNotFoundException", "ParameterNotFound")
_BUSY = ("Throttling", "InternalServiceError", "InternalServerError", "TooManyUpdates", "ServiceUnavailable")


class _AwsStore(RemoteStore):
    """Settings: `region`, `profile`, `endpoint_url`, `ca_file`."""

    service = ""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__(settings)
        self._client: Any = None

    def _call(self, operation: str, **given: Any) -> dict[str, Any]:
        """Raises SecretMissing, SecretStoreError."""
        from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError

        try:
            if self._client is None:
                self._client = self._opened()
            answer: dict[str, Any] = getattr(self._client, operation)(**given)
            return answer
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code"))
            deleted = code == "InvalidRequestException" and "marked" in str(error.response["Error"].get("Message"))
            if code in _MISSING or deleted:
                raise SecretMissing(f"AWS {self.service} has no secret of this name ({code})") from None
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            if status >= 500 or code.startswith(_BUSY):
                raise SecretStoreUnreachable(f"AWS {self.service} answered with {code}") from None
            raise SecretStoreError(f"AWS {self.service} refused: {code}") from None
        except (NoCredentialsError, NoRegionError) as error:
            raise SecretStoreUnreachable(f"AWS {self.service}: {said(str(error))}") from None
        except (BotoCoreError, OSError, ValueError) as error:
            raise SecretStoreUnreachable(f"AWS {self.service} does not answer: {said(str(error))}") from None

    def _opened(self) -> Any:
        from botocore.config import Config
        from botocore.session import Session

        timeout = float(self._settings.get("timeout") or 4.0)
        limits = Config(connect_timeout=timeout, read_timeout=timeout, retries={"total_max_attempts": 1})
        session = Session(profile=self._settings.get("profile"))
        return session.create_client(
            self.service,
            region_name=self._settings.get("region"),
            endpoint_url=self._settings.get("endpoint_url"),
            verify=self._settings.get("ca_file"),
            config=limits,
        )

    def _pages(self, operation: str, key: str, **given: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while True:
            answer = self._call(operation, **given)
            found += answer.get(key) or []
            if not answer.get("NextToken"):
                return found
            given["NextToken"] = answer["NextToken"]

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None


class SecretsManagerStore(_AwsStore):
    """A secret is a text, or a JSON object with fields."""

    service = "secretsmanager"

    def fetch(self, secret: str) -> Content:
        answer = self._call("get_secret_value", SecretId=secret)
        if "SecretString" not in answer:
            raise SecretStoreError(f"{secret} is binary, not text")
        return str(answer["SecretString"])

    def put(self, secret: str, content: Content) -> None:
        text = content if isinstance(content, str) else json.dumps(content)
        try:
            if self._call("describe_secret", SecretId=secret).get("DeletedDate"):
                self._call("restore_secret", SecretId=secret)
        except SecretMissing:
            self._call("create_secret", Name=secret, SecretString=text)
            return
        self._call("put_secret_value", SecretId=secret, SecretString=text)

    def remove(self, secret: str) -> None:
        """AWS keeps it for a week, during which it can be restored."""
        self.fetch(secret)
        self._call("delete_secret", SecretId=secret, RecoveryWindowInDays=7)

    def names(self) -> list[str]:
        filters = [{"Key": "name", "Values": [self._prefix]}] if self._prefix else []
        return [str(each["Name"]) for each in self._pages("list_secrets", "SecretList", Filters=filters)]


class ParameterStore(_AwsStore):
    """Systems Manager's parameters, written as `SecureString`."""

    service = "ssm"

    def fetch(self, secret: str) -> Content:
        answer = self._call("get_parameter", Name=secret, WithDecryption=True)
        return str((answer.get("Parameter") or {}).get("Value", ""))

    def put(self, secret: str, content: Content) -> None:
        text = content if isinstance(content, str) else json.dumps(content)
        self._call("put_parameter", Name=secret, Value=text, Type="SecureString", Overwrite=True)

    def remove(self, secret: str) -> None:
        self._call("delete_parameter", Name=secret)

    def names(self) -> list[str]:
        prefix = [{"Key": "Name", "Option": "BeginsWith", "Values": [self._prefix]}] if self._prefix else []
        return [str(each["Name"]) for each in self._pages("describe_parameters", "Parameters", ParameterFilters=prefix)]
