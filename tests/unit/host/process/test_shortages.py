"""What this machine lacks is told from what a provider does, however the error is wrapped."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from meshd.connectors.providers.openai import OpenAIProvider
from meshd.formats.errors.transport_failures import failure_from_exception
from meshd.host.process.shortages import ThisNameOnly, lack_of
from meshd.net.connections.names import Names
from meshd.net.failures import ConnectionLost, NotConnected, ProxyUnreachable
from meshd.operations.chat import CHAT
from meshd.sdk.provider import FailureKind, ProviderCall, ProviderFailure, ProviderSettings

OURS = {
    errno.EMFILE: "LimitNOFILE=",
    errno.ENFILE: "fs.file-max",
    errno.ENOMEM: "memory",
    errno.ENOBUFS: "memory",
    errno.ENOSPC: "disk",
    errno.EDQUOT: "disk",
    errno.EADDRNOTAVAIL: "ip_local_port_range",
    errno.ENETUNREACH: "connected?",
    errno.ENETDOWN: "connected?",
}
OF_THE_MACHINE = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.ENOSPC, errno.EDQUOT)
THEIRS = sorted(set(errno.errorcode) - set(OURS))
DNS_OURS = {socket.EAI_AGAIN: "DNS", socket.EAI_MEMORY: "memory"}
DNS_THEIRS = (socket.EAI_NONAME, socket.EAI_NODATA, socket.EAI_FAIL, socket.EAI_FAMILY, socket.EAI_SERVICE)


@pytest.mark.parametrize(("number", "words"), [*OURS.items()])
def test_our_own_lack(number: int, words: str) -> None:
    failure = failure_from_exception(NotConnected(cause=OSError(number, "x")), "h:1", 5.0)
    assert (failure.kind, failure.unsent) == (FailureKind.LOCAL, True)
    assert words in failure.message
    assert "h:1" in failure.message
    assert failure_from_exception(OSError(number, "x"), "h:1", 5.0).unsent  # before there was a connection
    assert not failure_from_exception(ConnectionLost(cause=OSError(number, "x")), "h:1", 5.0).unsent  # on an open one


@pytest.mark.parametrize("number", THEIRS)
def test_everything_else_is_the_providers(number: int) -> None:
    for error in (OSError(number, "x"), NotConnected(cause=OSError(number, "x"))):
        assert failure_from_exception(error, "h:1", 5.0).kind is not FailureKind.LOCAL


@pytest.mark.parametrize(("code", "words"), DNS_OURS.items())
def test_a_name_server_that_does_not_answer_is_ours(code: int, words: str) -> None:
    failure = failure_from_exception(NotConnected(cause=socket.gaierror(code, "x")), "h", 5.0)
    assert failure.kind is FailureKind.LOCAL
    assert words in failure.message


@pytest.mark.parametrize(
    "error",
    [*(socket.gaierror(code, "x") for code in DNS_THEIRS), ThisNameOnly(socket.EAI_AGAIN, "x")],
)
def test_a_name_that_does_not_exist_is_the_providers(error: OSError) -> None:
    failure = failure_from_exception(NotConnected(cause=error), "h", 5.0)
    assert failure.kind is FailureKind.CONNECTION
    assert "cannot be resolved" in failure.message


def test_which_names_fail_alone() -> None:
    names = Names()
    assert not names.failed("a.example", 1)
    names.found("localhost", 2)  # by no name server
    names.found("neighbour", 2)
    assert not names.failed("a.example", 3)
    names.found("b.example", 4)
    assert names.failed("a.example", 5)
    names.found("a.example", 6)
    assert not names.failed("a.example", 7)  # nothing was found since it began to fail again
    assert not names.failed("b.example", 7)
    for number in range(5000):
        names.failed(f"{number}.example", 8)
        names.found(f"{number}.example", 8)
    assert len(names) < 5000


# -- wrapped -------------------------------------------------------------------------------------------


def caused(error: Exception, by: BaseException) -> Exception:
    error.__cause__ = by
    return error


def in_context(error: Exception, of: BaseException) -> Exception:
    error.__context__ = of
    return error


def several(*errors: BaseException) -> OSError:
    """As aiohappyeyeballs says it."""
    return OSError("Multiple exceptions: " + ", ".join(map(str, errors)))


WRAPS: dict[str, Any] = {
    "not connected": lambda error: NotConnected(cause=error) if isinstance(error, OSError) else error,
    "a proxy's": lambda error: ProxyUnreachable(cause=error) if isinstance(error, OSError) else error,
    "cause": lambda error: caused(RuntimeError("failed"), error),
    "caused, with a number of its own": lambda error: caused(OSError(errno.ECONNRESET, "x"), error),
    "context": lambda error: in_context(ValueError("failed"), error),
    "group": lambda error: ExceptionGroup("several", [error]),
    "timeout": lambda error: caused(TimeoutError(), error),
}
wraps = some.lists(some.sampled_from(sorted(WRAPS)), max_size=6)


def wrapped(error: Exception, how: list[str]) -> Exception:
    for each in how:
        error = WRAPS[each](error)
    return error


@given(some.sampled_from(sorted(OURS)), wraps)
def test_wrapped_as_deep_as_you_like(number: int, how: list[str]) -> None:
    words = lack_of(wrapped(OSError(number, "x"), how))
    assert words is not None
    assert OURS[number] in words


@given(some.sampled_from([*THEIRS, None]), wraps)
def test_what_is_the_providers_stays_so(number: int | None, how: list[str]) -> None:
    error = TimeoutError() if number is None else OSError(number, "x")
    assert lack_of(wrapped(error, how)) is None


@given(some.lists(some.sampled_from(sorted(OURS) + THEIRS), min_size=1, max_size=4), wraps, some.booleans())
def test_of_several_addresses_one_that_could_be_reached_speaks(numbers: list[int], how: list[str], text: bool) -> None:
    errors = [OSError(number, "x") for number in numbers]
    error: Exception = several(*errors) if text else ExceptionGroup("several", errors)
    ours = any(number in OF_THE_MACHINE for number in numbers) or all(number in OURS for number in numbers)
    assert (lack_of(wrapped(error, how)) is not None) is ours


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError(), "memory"),
        (RuntimeError("can't start new thread"), "TasksMax="),
        (ssl.SSLError(errno.ENOMEM, "OpenSSL's own numbers"), None),
        (RuntimeError("something else"), None),
        (BlockingIOError(errno.EAGAIN, "their queue is full"), None),
        (OSError(), None),
        (OSError("no number"), None),
        (Exception(), None),
    ],
    ids=repr,
)
def test_what_is_not_an_error_number(error: Exception, words: str | None) -> None:
    found = lack_of(error)
    assert (found is None) == (words is None)
    assert (words or "") in (found or "")


def test_errors_that_contain_themselves() -> None:
    one, other = ValueError(), ValueError()
    one.__context__, other.__context__ = other, one
    assert lack_of(one) is None


# -- all connections in use ------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
def test_waiting_for_a_connection_blames_no_model(stream: bool) -> None:
    async def scenario() -> ProviderFailure:
        accepted = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            accepted.set()
            await reader.read()
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        provider = OpenAIProvider(
            ProviderSettings("p", "openai-compatible.v1", base_url=f"http://127.0.0.1:{port}/v1", max_connections=1)
        )

        def call(timeout: float) -> ProviderCall:
            return ProviderCall(CHAT, "m", {}, stream, timeout, timeout, timeout)

        async def ask(timeout: float) -> None:
            if stream:
                async for _ in provider.stream(call(timeout)):
                    pass
            else:
                await provider.execute(call(timeout))

        first = asyncio.create_task(ask(30))
        try:
            await asyncio.wait_for(accepted.wait(), 10)
            with pytest.raises(ProviderFailure) as caught:
                await ask(0.2)
        finally:
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)
            await provider.aclose()
            server.close()
        return caught.value

    failure = asyncio.run(scenario())
    assert (failure.kind, failure.unsent) == (FailureKind.LOCAL, True)
    assert "max_connections" in failure.message
