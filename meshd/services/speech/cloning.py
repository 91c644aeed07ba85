"""ElevenLabs' instant voices: https://elevenlabs.io/docs/api-reference/voices/ivc/create (read 2026-11-28).

`consent` is an id of OpenAI's; ElevenLabs has no such recording, and asks the account's owner instead.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from meshd.services.forms import form
from meshd.services.seam import Ask, Asked, Malformed, Result, Steps, text, told_at, wrong

_MOST = 25  # recordings


class Voice(msgspec.Struct):
    name: str
    description: str = ""
    remove_background_noise: bool = False
    type: Literal["audio_sample"] = "audio_sample"
    consent: str = ""


def voice(asked: Asked) -> Steps:
    wanted = asked.read(Voice)
    samples = [file._replace(field="files") for file in asked.files if file.field == "audio_sample"]
    if not 0 < len(samples) <= _MOST:
        raise wrong("audio_sample", f"there have to be 1 to {_MOST} recordings")
    fields = {"name": wanted.name}
    if wanted.description:
        fields["description"] = wanted.description
    if wanted.remove_background_noise:
        fields["remove_background_noise"] = "true"
    content_type, body = form(fields, *samples)
    told = yield Ask("POST", "v1/voices/add", body=body, content_type=content_type)
    id = text(told.object().get("voice_id"))
    if not id:
        raise Malformed("without a voice_id")
    made = {"id": id, "object": "audio.voice", "name": wanted.name, "type": wanted.type}
    return Result({**made, "created_at": told_at(told.headers)})
