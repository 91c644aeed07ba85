"""Programs that end, fork, or drop a client in the middle of a call: they end at once, and say nothing of it.

Each is a process of its own, as a user would write it; the daemon answers everything but "wait".
"""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time

import pytest

from modelmesh.protocol import REQUEST
from tests.support.client.fake_daemon import FakeDaemon, echo

SOON = 20.0  # s: generous for a machine with other things to do, and far below the clients' timeout

BEGIN = """
import asyncio, atexit, gc, os, signal, sys, threading, time, weakref
import modelmesh

def says(text): return {"model": "m", "messages": [{"role": "user", "content": text}], "timeout": 300}
def ask(client, text): return client.chat.completions.create(**says(text)).choices[0].message.content
async def aask(client, text): return (await client.chat.completions.create(**says(text))).choices[0].message.content
def in_flight(client, text="wait"):
    thread = threading.Thread(target=ask, args=(client, text), daemon=True)
    thread.start()
    return thread
client = modelmesh.OpenAIClient(sys.argv[1])
assert ask(client, "warm") == "warm"
"""

PROGRAMS = {
    "a thread's call in flight": "in_flight(client)\nask(client, 'settle')",
    "sys.exit in a stream": """
        stream = client.chat.completions.create(**says("a b c d e f"), stream=True)
        next(iter(stream))
        sys.exit(0)
        """,
    "a stream that is forgotten": """
        iter(client.chat.completions.create(**says("a b c d"), stream=True)).__next__()
        gc.collect()
        assert ask(client, "after") == "after"
        """,
    "never closed, in a global": "keep = [client, client.chat, client.with_options(timeout=3)]",
    "in a cycle": """
        class Node: pass
        node = Node(); node.me = node; node.client = modelmesh.OpenAIClient(sys.argv[1])
        assert ask(node.client, "a") == "a"
        del node, client
        gc.collect()
        """,
    "a call at exit": "atexit.register(lambda: print(ask(client, 'bye')))",
    "a call in a finalizer": """
        class Holder: pass
        holder = Holder()
        holder.me = holder
        said = []
        weakref.finalize(holder, lambda: said.append(ask(client, "finalizer")))
        del holder
        for number in range(50):  # the garbage is collected in the middle of some call
            assert ask(client, str(number)) == str(number)
            if number == 25: gc.collect()
        assert said == ["finalizer"], said
        """,
    "asyncio ends with a task in flight": """
        async def main():
            client = modelmesh.AsyncOpenAIClient(sys.argv[1])
            assert await aask(client, "a") == "a"
            task = asyncio.ensure_future(aask(client, "wait"))
            await asyncio.sleep(0.05)
        asyncio.run(main())
        """,
    "asyncio, never closed": """
        client = modelmesh.AsyncOpenAIClient(sys.argv[1])
        for _ in range(3): assert asyncio.run(aask(client, "a")) == "a"
        """,
    "asyncio, forgotten in its loop": """
        async def main():
            for _ in range(5):
                client = modelmesh.AsyncOpenAIClient(sys.argv[1])
                assert await aask(client, "a") == "a"
                del client
                gc.collect()
        asyncio.run(main())
        """,
    "a loop that is never closed": """
        loop = asyncio.new_event_loop()
        client = modelmesh.AsyncOpenAIClient(sys.argv[1])
        assert loop.run_until_complete(aask(client, "a")) == "a"
        """,
    "two loops one inside a thread of the other": """
        client = modelmesh.AsyncOpenAIClient(sys.argv[1])
        async def main():
            assert await aask(client, "a") == "a"
            assert await asyncio.to_thread(asyncio.run, aask(client, "b")) == "b"
            assert await aask(client, "c") == "c"
            await client.close()
        asyncio.run(main())
        """,
    "a fork in the middle of a thread's call": """
        in_flight(client)
        time.sleep(0.1)
        pid = os.fork()
        if pid == 0:
            signal.alarm(15)
            assert ask(client, "child") == "child"
            os._exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
        assert ask(client, "parent") == "parent"
        """,
    "a fork that ends as a program does": """
        pid = os.fork()
        if pid == 0:
            signal.alarm(15)
            sys.exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
        assert ask(client, "parent") == "parent"
        """,
    "workers that fork, and ask at once": """
        import multiprocessing, warnings
        warnings.simplefilter("ignore")
        in_flight(client)
        with multiprocessing.get_context("fork").Pool(4) as pool:
            assert pool.map(work, [str(number) for number in range(40)]) == [str(number) for number in range(40)]
        assert ask(client, "parent") == "parent"
        """,
    "asyncio in a fork": """
        aclient = modelmesh.AsyncOpenAIClient(sys.argv[1])
        assert asyncio.run(aask(aclient, "a")) == "a"
        pid = os.fork()
        if pid == 0:
            signal.alarm(15)
            assert asyncio.run(aask(aclient, "child")) == "child"
            os._exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
        assert asyncio.run(aask(aclient, "b")) == "b"
        """,
    "a signal's handler that ends the program": """
        signal.signal(signal.SIGALRM, lambda *_: sys.exit(0))
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        ask(client, "wait")
        """,
    "a signal's handler that asks, all the time": """
        heard = []
        signal.signal(signal.SIGALRM, lambda *_: heard.append(ask(client, "tick")))
        signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
        for number in range(100):
            assert ask(client, str(number)) == str(number)
            stream = client.chat.completions.create(**says("a b c"), stream=True)
            text = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
            assert text.split() == ["a", "b", "c"], text
        signal.setitimer(signal.ITIMER_REAL, 0)
        assert set(heard) == {"tick"}
        """,
    "closed by another thread in the middle of a call": """
        thread = in_flight(client)
        time.sleep(0.1)
        client.close()
        """,
    "an executor's calls": """
        from concurrent.futures import ThreadPoolExecutor
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(lambda text: ask(client, text), map(str, range(100)))) == list(map(str, range(100)))
        """,
}


def worker() -> str:
    return "\ndef work(text): return ask(client, text)\n"


@pytest.fixture
def daemon(socket_path):
    def answer(daemon, peer, message):
        if b'"wait"' not in message.body:
            echo(daemon, peer, message)

    with FakeDaemon(socket_path, answer) as daemon:
        yield daemon


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_it_ends(daemon, program):
    source = BEGIN + worker() + textwrap.dedent(program)
    started = time.monotonic()
    ended = subprocess.run(
        [sys.executable, "-c", source, daemon.path], capture_output=True, text=True, timeout=3 * SOON, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert time.monotonic() - started < SOON
    assert ended.stdout in ("", "bye\n")


def test_ctrl_c_in_a_call_is_one(daemon):
    """As a shell sends it: no more noise than Python's own traceback."""
    # A shell that starts the tests in the background ignores it, which children inherit.
    heeds = "\nsignal.signal(signal.SIGINT, signal.default_int_handler)"
    program = BEGIN + heeds + "\nprint('ready', flush=True)\nask(client, 'wait')"
    process = subprocess.Popen(
        [sys.executable, "-c", program, daemon.path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        daemon.wait_for(REQUEST, 2)
        process.send_signal(2)
        _, noise = process.communicate(timeout=SOON)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == -2
    assert noise.strip().endswith("KeyboardInterrupt")
    assert noise.count("Traceback") == 1
