"""Providers over HTTP, in any wire format.

Owns: what a provider offers besides calls: its models, its quota, and what is passed on to it.
Must never: know pools or other providers, or what a format is made of. `http_exchanges.py` makes its calls.

Differences between providers are quirks in `meshd/catalogue/providers.toml`, not classes:

  speaks             the wire formats of its API (`formats/known.py`), the preferred one first; else OpenAI's
  api_key_header     the header that carries the bare key, instead of `Authorization: Bearer`
  prefill            how it continues another model's answer (`formats/openai/body/prefill.py`)
  custom_tools       it knows tools that take any text (`"type": "custom"`), which OpenAI's chat servers seldom do
  late_instructions  it takes instructions between other messages, and the role `developer`
  no_stream_options  refuses `stream_options`
  rename, drop       request fields to send under another name, or not at all
  add, usual, clamp  fields to send and not to send, and bounds of numbers (`formats/openai/body/quirks.py`)
  roles, drop_in_messages   roles of messages to send as others, and fields not to send (the same)
  at_once, tokens_at_once   operation → how many inputs, or tokens, a call takes; may depend on the model
                     (`formats/split.py`)
  rows               operation → the name of the list in its answers
  query              query parameters for every request (`api-version`)
  models_path        where models are listed, relative to base_url
  no_models_list     the provider lists none: the catalogue's are used
  quota              where it reports how much of the key's quota is used and left (`formats/openai/quota.py`)
  batches, vertex    its API for many requests at once (`formats/batches/known.py`); it is Vertex AI (`formats/gemini`)
  uds                path of the UNIX socket it listens on
  by_deployment      its models have paths of their own in an older API (`deployments.py`)

`api_key_header`, `prefill`, `rename`, `drop` and `models_path` mean the same in all formats.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator

from yarl import URL

from meshd.connectors.providers.authorizations.known import authorization
from meshd.connectors.providers.authorizations.passthrough import masked, masked_events, required
from meshd.connectors.providers.deployments import Deployments, by_deployment
from meshd.connectors.providers.http_exchanges import HttpExchanges
from meshd.connectors.providers.http_requests import HttpRequests, formats_of, shown
from meshd.connectors.providers.model_pages import MAX_LIST, all_models
from meshd.connectors.providers.passing import forward
from meshd.formats.errors.not_answers import Broken
from meshd.formats.errors.wrong_address import is_no_api, no_answer
from meshd.formats.lookup import provider_format
from meshd.formats.openai.quota import QuotaQuirk, read_quota
from meshd.host import clock
from meshd.sdk.calls.passing import RawAnswer, RawRequest, Written
from meshd.sdk.provider import (
    FailureKind,
    ModelListing,
    Provider,
    ProviderAnswer,
    ProviderCall,
    ProviderFailure,
    ProviderSettings,
    QuotaStatus,
    StreamEvent,
)

LIST_TIMEOUT = 15.0


class HttpProvider(Provider):
    """One provider, its base URL and its key; any number of models. Raises ValueError for unusable settings."""

    keeps_time = True

    @classmethod
    def formats(cls, settings: ProviderSettings) -> tuple[str, ...]:
        return formats_of(by_deployment(settings))

    def __init__(self, settings: ProviderSettings) -> None:
        super().__init__(settings)
        settings = by_deployment(settings)
        self._deployments = Deployments(settings)
        names = formats_of(settings)
        self.speaks, self.also_speaks = names[0], frozenset(names[1:])
        self.custom_tools = bool(settings.quirks.get("custom_tools", self.speaks != "openai"))
        self.late_instructions = bool(settings.quirks.get("late_instructions", self.late_instructions))
        self._authorization = authorization(settings, lambda secrets: self.credentials.learn(secrets))
        by_format = {name: HttpRequests(settings, provider_format(name).provider(settings), name) for name in names}
        self._http = HttpExchanges(
            settings, self._deployments, by_format, lambda: self.credentials, self._authorization
        )
        self._requests, self._where = self._http.requests, self._http.where
        self._app_keys = settings.auth_method == "passthrough"
        self._unlisted = self._app_keys or bool(settings.quirks.get("no_models_list"))
        self._quota: QuotaQuirk | None = settings.quirks.get("quota")
        self.batches = "" if self._app_keys else str(settings.quirks.get("batches", ""))

    async def execute(self, call: ProviderCall) -> ProviderAnswer:
        if call.credential is None:
            return await self._http.answer(call)
        with masked(call.credential):
            return await self._http.answer(call)

    def stream(self, call: ProviderCall) -> AsyncGenerator[StreamEvent, None]:
        events = self._stream(call)
        return events if call.credential is None else masked_events(events, call.credential)

    async def _stream(self, call: ProviderCall) -> AsyncGenerator[StreamEvent, None]:
        reader = await self._http.opened(call)
        try:
            while not reader.done:
                for event in await reader.more():
                    yield event
        except ProviderFailure as failure:
            raise self._http.scrub(failure) from None
        finally:
            reader.close()

    async def list_models(self) -> list[ModelListing]:
        if self._unlisted:
            return self._deployments.catalogued()
        timeout = min(self.settings.timeout, LIST_TIMEOUT)
        return await all_models(self._requests.side, self._requests.models, timeout, self._get, self._models_in)

    def _models_in(self, body: bytes) -> list[ModelListing]:
        try:
            return self._requests.side.read_models(body)
        except ValueError as exc:
            if is_no_api(body):
                raise self._http.scrub(no_answer(shown(self._requests.models), body)) from None
            raise self._http.bad(f"{self._where} listed its models in an unknown form: {exc}", body) from None

    async def model_details(self, model: str) -> ModelListing | None:
        if self._unlisted:
            return None
        body = await self._get(self._requests.model(model), min(self.settings.timeout, LIST_TIMEOUT))
        try:
            return self._requests.side.read_model(body)
        except ValueError as exc:
            raise self._http.bad(f"{self._where} described {model} in an unknown form: {exc}", body) from None

    async def quota(self) -> QuotaStatus | None:
        if self._quota is None or self._requests.quota is None or self._app_keys:
            return None
        body = await self._get(self._requests.quota, min(self.settings.timeout, LIST_TIMEOUT))
        try:
            return read_quota(body, self._quota)
        except Broken as exc:
            raise self._http.bad(f"{self._where} reported its quota in an unknown form: {exc}", body) from None

    async def probe(self, timeout: float) -> float:
        if self._unlisted:
            raise ProviderFailure(FailureKind.UNSUPPORTED, f"{self.settings.connector} has no list of models")
        started = clock.now()
        body = await self._get(self._requests.models, timeout)
        if is_no_api(body):
            raise self._http.scrub(no_answer(shown(self._requests.models), body))
        return clock.now() - started

    async def forward(self, asked: RawRequest) -> RawAnswer:
        if self._app_keys:
            required(asked.credential, self._where)
        with masked(asked.credential):
            return await forward(
                self._requests, self._http.transport, self.credentials, self._http.failure, asked, self._authorization
            )

    def written(self, call: ProviderCall) -> Written:
        side = self._http.requests_of(call).side
        if (path := side.path(call.operation, call.model, stream=False)) is None:
            self._http.target(call)  # which raises
        return Written(path or "", side.write(call))

    def read(self, body: bytes, call: ProviderCall) -> ProviderAnswer:
        try:
            answer = self._http.requests_of(call).side.read(body, call, self._http.target(call).address)
        except ProviderFailure as failure:
            raise self._http.scrub(failure) from None
        return ProviderAnswer(answer.body, answer.usage, size=answer.size, content_type=answer.content_type)

    async def aclose(self) -> None:
        await self._http.transport.aclose()
        if self._authorization is not None:
            await self._authorization.aclose()

    async def _get(self, target: URL, timeout: float, limit: int = MAX_LIST) -> bytes:
        return await self._http.get(target, timeout, limit)
