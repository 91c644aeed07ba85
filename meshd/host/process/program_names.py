"""The script or module that an interpreter's process runs, from /proc/PID/cmdline.

Owns: reading a command line, and finding the name in it.
Must never: decide permissions (a process writes its own command line), keep arguments (they may hold keys), or keep the
router waiting: reading another process's memory can take as long as that process wants.
"""

from __future__ import annotations

import os
import re
import threading

from meshd.host.plain_text import printable

_MOST_READ = 4096  # bytes of a command line
PATIENCE = 0.02  # s
MOST_STUCK = 4  # hanging readers, after which no more are started

_INTERPRETER = re.compile(
    r"(?:python|pypy|perl|ruby|node|nodejs|php|lua|luajit|tclsh|wish|bash|dash|ash|zsh|ksh|fish|sh|deno|bun|java|"
    r"Rscript|R|julia|guile|racket|elixir|erl|mono|dotnet|pwsh|uv|uvx|pipx|env|busybox|awk|gawk|mawk)"
    r"[-.\d]*(?:t|d|m|u)?",
)
_WITH_VALUE = {
    "python": {"-W", "-X", "--check-hash-based-pycs"},
    "pypy": {"-W", "-X"},
    "node": {"-r", "--require", "--import", "--loader", "--experimental-loader", "-C", "--conditions", "--env-file"},
    "ruby": {"-I", "-r", "-C", "-E"},
    "perl": {"-I", "-M", "-m"},
    "java": {"-cp", "-classpath", "--class-path", "-p", "--module-path", "--add-modules", "--add-opens"},
    "sh": {"-o", "-O", "--rcfile", "--init-file"},
}
_CODE = {"-c", "-e", "-E", "-r", "-p", "--eval", "--print", "-"}
"""Options after which the program text follows, or comes on standard input, so that there is no name."""

_MODULE = re.compile(r"-[bBdEhiIOPqsSuvVx?]*m(.*)", re.DOTALL)

stuck = threading.Semaphore(MOST_STUCK)


def is_interpreter(program: str) -> bool:
    """Whether a program (path or name) runs scripts."""
    return _INTERPRETER.fullmatch(os.path.basename(program)) is not None


def script_of(pid: int, exe: str, name: str) -> str:
    """The script's or module's own name, "" if there is none or it cannot be read at once."""
    if not (is_interpreter(exe) if exe else is_interpreter(name)):
        return ""
    return script_in(read_command_line(pid))


def script_in(line: bytes) -> str:
    """The name in a command line of /proc, whose words end in zero bytes."""
    words = [word.decode(errors="replace") for word in line.split(b"\0")]
    interpreter = _family(words[0]) if words else ""
    with_value = _WITH_VALUE.get(interpreter, _WITH_VALUE["sh"] if interpreter.endswith("sh") else set())
    rest = iter(words[1:])
    for word in rest:
        if interpreter in ("python", "pypy") and (module := _MODULE.fullmatch(word)):
            return printable(module[1] or next(rest, ""))
        if interpreter == "java" and word in ("-jar", "-m", "--module"):
            return printable(os.path.basename(next(rest, "")))
        if interpreter in ("deno", "bun", "uv", "dotnet") and word in ("run", "exec"):
            continue
        if word in with_value:
            next(rest, None)
        elif word in _CODE or (interpreter in ("python", "pypy") and re.match(r"-[a-zA-Z]*c", word)):
            return ""
        elif word and not word.startswith("-"):
            return printable(_file_name(word))
    return ""


def _file_name(path: str) -> str:
    """`__main__.py` in the folder `bot` is known as `bot`."""
    name = os.path.basename(path.rstrip("/"))
    if name in ("__main__.py", "main.py", "app.py", "index.js", "manage.py"):  # these names are common
        folder = os.path.basename(os.path.dirname(path))
        return folder if folder and name == "__main__.py" else f"{folder}/{name}" if folder else name
    return name


def _family(program: str) -> str:
    """The family of a program: `python` for `python3.11`."""
    return re.sub(r"[-.\d]+[a-z]?$", "", os.path.basename(program)).removesuffix("js")


def read_command_line(pid: int) -> bytes:
    """Its command line, b"" if it cannot be read at once. A thread reads it, since reading may never return."""
    if not stuck.acquire(blocking=False):
        return b""
    found: list[bytes] = []

    def look() -> None:
        try:
            with open(f"/proc/{pid}/cmdline", "rb", buffering=0) as file:
                found.append(file.read(_MOST_READ))
        except OSError:
            pass
        finally:
            stuck.release()

    reader = threading.Thread(target=look, name="meshd-cmdline", daemon=True)
    try:
        reader.start()
    except RuntimeError:  # no more threads
        stuck.release()
        return b""
    reader.join(PATIENCE)
    return found[0] if found else b""
