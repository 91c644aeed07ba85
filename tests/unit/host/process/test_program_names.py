"""What a process that an interpreter runs is called."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshd.core.caller import Peer
from meshd.host.process import program_names
from meshd.host.process.program_names import is_interpreter, script_in, script_of


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("python3 /opt/app/digest.py --key sk-secret", "digest.py"),
        ("/usr/bin/python3.11 -u -W ignore -X dev digest.py", "digest.py"),
        ("python -m http.server 80", "http.server"),
        ("python -Im mail.sorter", "mail.sorter"),
        ("python3 -mpip install x", "pip"),
        ("python3 /srv/bot/__main__.py", "bot"),
        ("python3 /srv/bot/main.py", "bot/main.py"),
        ("python3 -c print(1)", ""),
        ("python3 -", ""),
        ("python3", ""),
        ("node --require ./x.js /srv/web/index.js", "web/index.js"),
        ("node server.mjs --port 1", "server.mjs"),
        ("ruby -I lib bin/job", "job"),
        ("perl -w report.pl", "report.pl"),
        ("bash -x /etc/cron.daily/ask", "ask"),
        ("sh -c curl", ""),
        ("java -cp a.jar -jar /opt/x/tool.jar", "tool.jar"),
        ("java -Xmx1g com.example.Main", "com.example.Main"),
        ("deno run --allow-all job.ts", "job.ts"),
    ],
)
def test_the_script_or_module(words, name):
    assert script_in(b"\0".join(word.encode() for word in words.split()) + b"\0") == name


@pytest.mark.parametrize("name", ["python", "python3", "python3.13t", "node", "bash", "/usr/bin/perl", "ruby3.1"])
def test_interpreters(name):
    assert is_interpreter(name)


@pytest.mark.parametrize("name", ["mail", "pythonic", "meshctl", "noderator", "shellcheck", "", "basher"])
def test_programs_of_their_own(name):
    assert not is_interpreter(name)


@given(st.binary(max_size=600))
def test_no_command_line_harms_a_terminal(line):
    found = script_in(b"python3\0" + line)
    assert len(found) <= 64
    assert found.isprintable() or not found


def test_a_name_is_the_scripts_only_where_an_interpreter_runs(monkeypatch):
    monkeypatch.setattr(program_names, "read_command_line", lambda pid: b"python3\0/a/liar.py\0")
    assert script_of(1, "/usr/bin/mail", "python3") == ""
    assert script_of(1, "/usr/bin/python3.11", "mail") == "liar.py"
    assert Peer(name="python3", script="digest.py").app == "digest.py"
    assert Peer(name="mail", script="digest.py").app == "mail"
    assert Peer(name="python3", unit="sort.service", script="digest.py").app == "sort.service"
    assert Peer(script="a") == Peer(script="b"), "a label is not part of an identity"


def test_an_unreadable_command_line_delays_no_request(monkeypatch):
    release = threading.Event()

    class Stuck:
        def __enter__(self):
            release.wait(30)
            raise OSError

        def __exit__(self, *exception):
            return None

    monkeypatch.setattr(program_names, "open", lambda *a, **k: Stuck(), raising=False)
    monkeypatch.setattr(program_names, "PATIENCE", 0.001)
    monkeypatch.setattr(program_names, "stuck", threading.Semaphore(program_names.MOST_STUCK))
    before = threading.active_count()
    try:
        for _ in range(20):
            assert script_of(1, "/usr/bin/python3", "") == ""
        assert threading.active_count() - before <= program_names.MOST_STUCK
    finally:
        release.set()
