"""`meshctl speak`, `transcribe` and `image` as processes: files, pipes, terminals, and what a provider does wrong."""

from __future__ import annotations

import base64
import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.providers.media_server import PICTURE, SOUND, WORDS, MediaServer
from tests.support.waiting import WAIT

TEXT = "".join(WORDS)
IMAGE = base64.b64decode(PICTURE)
Run = Callable[..., subprocess.CompletedProcess[bytes]]


@pytest.fixture
def meshctl(daemon: Any, tmp_path: Path) -> Run:
    """`meshctl("speak", "Hello", input=b"")`: to its end, in a folder of the test's own."""

    def run(*words: str, **given: Any) -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-m", "meshd.cli", "--socket", str(daemon.socket), *words]
        given = {"input": b"", "capture_output": True} | given
        done = subprocess.run(command, cwd=tmp_path, timeout=WAIT, check=False, **given)
        assert b"Traceback" not in (done.stderr or b""), done.stderr
        return done

    return run


def test_speech_goes_to_a_file_or_a_pipe(meshctl: Run, media: MediaServer, tmp_path: Path) -> None:
    (tmp_path / "old.wav").write_bytes(b"old")
    (tmp_path / "old.wav").chmod(0o640)
    (tmp_path / "link.wav").symlink_to("old.wav")
    done = meshctl("speak", "Hello", "-o", "link.wav", "--voice", "nova", "--speed", "1.5")
    assert (done.returncode, done.stdout) == (0, b"")
    assert b"audio/mpeg \xc2\xb7 256 kB" in done.stderr
    fields = {"model": "tts", "input": "Hello", "voice": "nova", "response_format": "wav", "speed": 1.5}
    assert media.sent[-1].fields == fields
    assert (tmp_path / "old.wav").read_bytes() == SOUND
    assert (tmp_path / "old.wav").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "link.wav").is_symlink()
    made = json.loads(meshctl("speak", "Hello", "-o", "/dev/null", "--json").stdout)
    assert (made["file"], made["bytes"], made["mesh"]["model"]) == ("/dev/null", len(SOUND), "up.tts")
    piped = meshctl("speak", "-", "--model", "tts", "--format", "flac", input=b"from a pipe")
    assert (piped.returncode, piped.stdout) == (0, SOUND)
    assert media.sent[-1].fields["input"] == "from a pipe"
    assert media.sent[-1].fields["response_format"] == "flac"


@pytest.mark.parametrize("model", ["dying-tts", "refusing-tts"])
def test_speech_that_fails_leaves_files_as_they_were(meshctl: Run, tmp_path: Path, model: str) -> None:
    (tmp_path / "old.mp3").write_bytes(b"old")
    for name in ("old.mp3", "new.mp3"):
        done = meshctl("speak", "Hello", "-o", name, "--model", model)
        assert (done.returncode, done.stdout) == (1, b""), done.stderr
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("old.mp3", b"old")]


def test_what_cannot_be_written_or_read_is_told_before_a_model_is_asked(
    meshctl: Run, media: MediaServer, tmp_path: Path
) -> None:
    (tmp_path / "empty.mp3").touch()
    asked = len(media.sent)
    for words, said in (
        (("speak", "Hello", "-o", "no/such/folder.mp3"), b"No such file or directory"),
        (("speak", "Hello", "-o", "."), b"it is a folder"),
        (("image", "a cat", "-o", "no/such/folder.png", "--n", "2"), b"No such file or directory"),
        (("image", "a cat", "--n", "2"), b"give -o FILE"),
        (("speak", "Hello", "--json"), b"give a FILE"),
        (("speak", " "), b"no text"),
        (("image", "a hat", "--edit", "none.png", "-o", "a.png"), b"none.png: No such file"),
        (("transcribe", "none.mp3"), b"none.mp3: No such file"),
        (("transcribe", "empty.mp3"), b"the file is empty"),
        (("transcribe", "empty.mp3", "--srt", "--json"), b"exclude each other"),
    ):
        done = meshctl(*words)
        assert (done.returncode, done.stdout) == (2, b""), words
        assert said in done.stderr, done.stderr
    assert len(media.sent) == asked
    assert [each.name for each in tmp_path.iterdir()] == ["empty.mp3"]


def test_a_recording(meshctl: Run, media: MediaServer, tmp_path: Path) -> None:
    (tmp_path / "naïve talk.mp3").write_bytes(SOUND)
    done = meshctl("transcribe", "naïve talk.mp3", "--language", "en", "--prompt", "Ada")
    assert (done.returncode, done.stdout.decode()) == (0, f"{TEXT}\n")
    assert b"up.stt" in done.stderr
    assert media.sent[-1].files == {"file": [SOUND]}
    assert media.sent[-1].fields == {"model": "stt", "language": "en", "prompt": "Ada"}
    subtitles = meshctl("transcribe", "-", "--vtt", input=SOUND)
    assert subtitles.stdout.decode() == f"WEBVTT\n\n00:00.000 --> 00:02.000\n{TEXT}\n"
    answer = json.loads(meshctl("transcribe", "naïve talk.mp3", "--translate", "--json").stdout)
    assert (answer["text"], answer["mesh"]["pool"]) == (TEXT, "speech-to-text")
    assert media.sent[-1].path == "/v1/audio/translations"


def test_images(meshctl: Run, media: MediaServer, tmp_path: Path) -> None:
    done = meshctl("image", "a cat", "-o", "cat.webp", "--size", "512x512", "--quality", "low", "--n", "2")
    assert (done.returncode, done.stdout) == (0, b"")
    assert b"cat-1.webp, cat-2.webp" in done.stderr
    fields = {"size": "512x512", "quality": "low", "n": 2, "output_format": "webp"}
    assert media.sent[-1].fields == {"model": "image", "prompt": "a cat", **fields}
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == {
        "cat-1.webp": IMAGE,
        "cat-2.webp": IMAGE,
    }
    piped = meshctl("image", "a hat", "--edit", "cat-1.webp", "--model", "image")
    assert (piped.returncode, piped.stdout) == (0, IMAGE)
    assert media.sent[-1].files == {"image": [IMAGE]}
    assert json.loads(meshctl("image", "a cat", "--json").stdout)["data"] == [{"b64_json": PICTURE}]


def test_a_terminal_gets_no_bytes_of_a_file(meshctl: Run, media: MediaServer, tmp_path: Path) -> None:
    """Neither is a model asked; with a file, the terminal is told who answered."""
    (tmp_path / "a.mp3").write_bytes(SOUND)
    asked = len(media.sent)
    for words, code, said in (
        (("speak", "Hello"), 2, "give -o FILE"),
        (("image", "a cat"), 2, "give -o FILE"),
        (("transcribe", "a.mp3"), 0, TEXT),
        (("speak", "Hello", "-o", "b.mp3"), 0, "256 kB"),
    ):
        ours, theirs = pty.openpty()
        ends: dict[str, Any] = dict.fromkeys(("stdout", "stderr"), theirs)
        done = meshctl(*words, **ends, capture_output=False)
        os.close(theirs)
        shown = os.read(ours, 65536).decode()
        os.close(ours)
        assert done.returncode == code, shown
        assert said in " ".join(shown.split())
        assert "\x00" not in shown
    assert len(media.sent) == asked + 2
