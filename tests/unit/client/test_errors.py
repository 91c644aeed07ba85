"""Errors: the classes that catch them, and what is tried again."""

from __future__ import annotations

import copy
import pickle
import time

import pytest

import modelmesh
from modelmesh import errors as errors
from modelmesh._shared import options
from modelmesh._shared.options import retry_delay
from modelmesh.errors import from_wire
from modelmesh.protocol import REQUEST
from tests.support.client.calls import ask, error_classes
from tests.support.client.fake_daemon import echo


def received(name, status):
    return from_wire(status, {"message": "m"}, {"class": name})


@pytest.mark.parametrize(
    ("name", "status", "caught_by"),
    [
        ("RateLimitError", 429, "RateLimitError ProviderError APIStatusError APIError OpenAIError MeshError"),
        ("QueueFullError", 429, "RateLimitError QueueFullError APIStatusError"),
        ("InvalidRequestError", 400, "BadRequestError InvalidRequestError APIStatusError"),
        ("NotFoundError", 404, "NotFoundError APIStatusError"),
        ("", 409, "ConflictError"),
        ("", 422, "UnprocessableEntityError BadRequestError"),
        ("AuthenticationError", 401, "AuthenticationError ProviderError"),
        ("AccessDeniedError", 403, "AccessDeniedError PermissionDeniedError"),
        ("NoActiveModelError", 503, "NoActiveModelError RoutingError InternalServerError"),
        ("AllProvidersExhaustedError", 502, "RoutingError InternalServerError APIStatusError"),
        ("ProviderError", 502, "ProviderError InternalServerError"),
        ("", 500, "InternalServerError"),
        ("ProviderTimeoutError", 504, "ProviderTimeoutError APITimeoutError APIConnectionError ProviderError"),
        ("RequestTimeoutError", 504, "RequestTimeoutError APITimeoutError"),
        ("ProviderConnectionError", 502, "APIConnectionError ProviderError"),
        ("DaemonUnavailableError", 503, "APIConnectionError"),
        ("StreamInterrupted", 502, "StreamInterrupted APIConnectionError"),
        ("BudgetExceededError", 402, "BudgetExceededError APIStatusError"),
        ("InvalidRequestError", 409, "ConflictError InvalidRequestError"),
        ("InvalidRequestError", 400, "InvalidRequestError BadRequestError"),
    ],
)
def test_the_sdks_names_catch_the_right_classes(name, status, caught_by):
    error = received(name, status)
    assert error.status_code == status
    for base in caught_by.split():
        with pytest.raises(getattr(modelmesh, base)):
            raise error


def test_what_must_not_be_caught():
    assert not isinstance(received("RateLimitError", 429), modelmesh.InternalServerError)
    assert not isinstance(received("RateLimitError", 429), modelmesh.APIConnectionError)
    assert not isinstance(received("RequestTimeoutError", 504), modelmesh.APIStatusError)
    assert not issubclass(modelmesh.QueueFullError, modelmesh.ProviderError)


@pytest.mark.parametrize("name", sorted(error_classes()))
def test_every_class_survives_the_wire_pickling_and_copying(name):
    cls = error_classes()[name]
    error = cls("it broke", param="p", retry_after=2.0, attempts=[{"model": "a"}], pool="x")
    status, body, mesh = error.to_wire()
    back = from_wire(status, body, mesh, "ab")
    assert isinstance(back, cls)
    for one in (back, pickle.loads(pickle.dumps(back)), copy.copy(back)):
        assert type(one).__name__ == name
        assert (str(one), one.status_code, one.code, one.param) == ("it broke", error.status_code, error.code, "p")
        assert (one.retry_after, one.attempts, one.pool, one.request_id) == (2.0, [{"model": "a"}], "x", "ab")
        assert one.retryable == error.retryable


def test_a_hostile_extra_does_not_break_the_error():
    error = from_wire(500, {}, {"extra": {"message": "x", "body": 1, "fine": 2}})
    assert error.fine == 2
    assert "no message" in str(error)


def refusing(times, status, **mesh):
    def handler(daemon, peer, message):
        if len(daemon.of_kind(REQUEST)) <= times:
            daemon.error(peer, message, status, **mesh)
        else:
            echo(daemon, peer, message)

    return handler


@pytest.mark.parametrize(
    ("status", "mesh"),
    [
        (429, {"class": "RateLimitError", "retryable": True, "retry_after": 0.01}),
        (503, {"class": "AllProvidersExhaustedError", "retryable": True, "retry_after": 0.01}),
        (503, {"class": "NoActiveModelError", "retryable": True, "extra": {"recovers_in": 0.01}}),
        (429, {"class": "QueueFullError", "retryable": True}),
    ],
)
def test_refusals_are_tried_again(start, client, monkeypatch, status, mesh):
    monkeypatch.setattr(options, "FIRST_BACK_OFF_SECONDS", 0.01)
    daemon = start(refusing(2, status, **mesh))
    assert ask(client, "hi") == "hi"
    ids = [message.request_id for message in daemon.of_kind(REQUEST)]
    assert len(set(ids)) == 3


@pytest.mark.parametrize(
    ("status", "mesh"),
    [
        (400, {"class": "InvalidRequestError"}),
        (502, {"class": "AllProvidersExhaustedError", "retryable": True}),
        (504, {"class": "ProviderTimeoutError", "retryable": True, "retry_after": 0.01}),
        (429, {"class": "RateLimitError", "retryable": False, "retry_after": 0.01}),
        (502, {"class": "StreamInterrupted", "retryable": True, "retry_after": 0.01}),
    ],
)
def test_what_may_have_been_begun_or_will_not_change_is_not(start, client, status, mesh):
    daemon = start(refusing(9, status, **mesh))
    with pytest.raises(modelmesh.MeshError):
        ask(client, "hi")
    assert len(daemon.of_kind(REQUEST)) == 1


def test_retries_are_counted_and_stay_within_the_timeout(start, client):
    daemon = start(refusing(99, 429, retryable=True, retry_after=0.01, **{"class": "RateLimitError"}))
    with pytest.raises(modelmesh.RateLimitError):
        ask(client, "hi")
    assert len(daemon.of_kind(REQUEST)) == 3
    with pytest.raises(modelmesh.RateLimitError):
        ask(client.with_options(max_retries=0), "hi")
    assert len(daemon.of_kind(REQUEST)) == 4


def test_a_wait_longer_than_the_timeout_is_not_begun(start, client):
    start(refusing(99, 429, retryable=True, retry_after=30, **{"class": "RateLimitError"}))
    began = time.monotonic()
    with pytest.raises(modelmesh.RateLimitError) as raised:
        ask(client, "hi", timeout=2)
    assert time.monotonic() - began < 2
    assert raised.value.retry_after == 30


def test_a_call_waits_for_a_refusal_to_pass_for_a_minute_at_most():
    def refused(cls, seconds, **extra):
        return cls("not now", retry_after=seconds, retryable=True, **extra)

    assert retry_delay(refused(errors.QueueFullError, 60.0), 0) == 60.0
    assert retry_delay(refused(errors.QueueFullError, 61.0), 0) is None
    assert retry_delay(refused(errors.NoActiveModelError, None, recovers_in=5.0), 0) == 5.0
    assert retry_delay(refused(errors.NoActiveModelError, None, recovers_in=3600.0), 0) is None
    assert 0 < retry_delay(refused(errors.QueueFullError, None), 0) <= 8.0
