"""npm's `openai`, unmodified: audio and images, with files both ways."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.install import directory, missing
from tests.integration.media.conftest import config
from tests.support.client.doors import Door, proxy
from tests.support.providers.media_server import SOUND, WORDS, MediaServer

PROGRAM = Path(__file__).parent / "programs" / "media.mjs"
TEXT = "".join(WORDS)


@pytest.fixture(scope="module")
def media() -> Iterator[MediaServer]:
    if reason := missing("npm-sdks"):
        pytest.skip(reason)
    server = MediaServer().start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def daemon(media: MediaServer, module_meshd: Any, module_short: Path) -> Any:
    return module_meshd(config(media.url, proxy=proxy(module_short)))


def test_audio_and_images(daemon: Any, media: MediaServer) -> None:
    done = subprocess.run(
        ["node", "--input-type=module", "-"],
        cwd=directory("npm-sdks"),
        env={"PATH": os.environ["PATH"], "MESH_URL": Door("tcp", daemon).root},
        input=PROGRAM.read_text(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "speech": ["audio/mpeg", len(SOUND)],
        "speech_events": True,
        "words": TEXT,
        "vtt": f"WEBVTT\n\n00:00.000 --> 00:02.000\n{TEXT}\n",
        "streamed": f"{TEXT} [transcript.text.done]",
        "translated": TEXT,
        "images": [True, True],
        "edited": 1,
        "image_events": [
            "image_generation.partial_image",
            "image_generation.completed",
            "image_edit.partial_image",
            "image_edit.completed",
        ],
        "flagged": False,
        "errors": {
            "refusing-tts": "BadRequestError 400",
            "nothing-like-it": "NotFoundError 404",
            "failing-tts": "InternalServerError 502",
        },
        "cut": True,
    }
    content = b"\x00\x01\x02\xff"
    (edit,) = (sent for sent in media.sent if "mask" in sent.files)
    assert edit.files == {"image[]": [content] * 2, "mask": [content]}
    (named,) = (sent for sent in media.sent if "naïve talk.mp3".encode() in sent.body)
    assert named.fields == {"model": "stt", "language": "en"}
