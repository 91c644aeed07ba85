"""Speech, transcriptions and images as their providers document them, read on 2026-11-28; words and sounds are ours.

ElevenLabs: https://elevenlabs.io/docs/api-reference/text-to-speech/convert, …/speech-to-text/convert
Azure: https://learn.microsoft.com/azure/ai-services/speech-service/rest-text-to-speech
Deepgram: https://developers.deepgram.com/reference/speech-to-text/listen-pre-recorded, …/text-to-speech/speak-request
AssemblyAI: https://www.assemblyai.com/docs/api-reference/transcripts/submit
Stability: https://platform.stability.ai/docs/api-reference#tag/Generate
fal: https://docs.fal.ai/documentation/model-apis/inference/queue
Replicate: https://replicate.com/docs/topics/predictions/create-a-prediction
"""

from __future__ import annotations

import base64
from email.parser import BytesParser
from typing import Any
from xml.etree import ElementTree

from aiohttp import web

from tests.support.providers.services.server import LocalService

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(64))
WORDS = ("The", "lamp", "turns.", "A", "ship", "answers.")
TEXT = " ".join(WORDS)
SECONDS = 6.4


def sound(text: str, *told: str) -> bytes:
    """What a voice says, and how."""
    return b"ID3" + "/".join((*told, text)).encode() * 40


def speaker(number: int) -> int:
    return 0 if number < 3 else 1


async def _form(request: web.Request) -> dict[str, bytes]:
    head = f"content-type: {request.headers['content-type']}\r\n\r\n".encode()
    parts: Any = BytesParser().parsebytes(head + await request.read()).get_payload()
    return {part.get_param("name", header="content-disposition"): part.get_payload(decode=True) for part in parts}


def _base(request: web.Request, name: str) -> str:
    return f"http://{request.host}/{name}"


# -- ElevenLabs ---------------------------------------------------------------------------------------


async def _eleven_speech(request: web.Request) -> web.Response:
    asked, style = await request.json(), request.query["output_format"]
    told = sound(asked["text"], request.match_info["voice"], asked["model_id"], style)
    return web.Response(body=told, content_type="audio/mpeg", headers={"character-cost": str(len(asked["text"]))})


async def _eleven_streamed(request: web.Request) -> web.StreamResponse:
    asked = await request.json()
    answer = web.StreamResponse(headers={"content-type": "audio/mpeg"})
    await answer.prepare(request)
    whole = sound(asked["text"], request.match_info["voice"], asked["model_id"], request.query["output_format"])
    for at in range(0, len(whole), 50):
        await answer.write(whole[at : at + 50])
    return answer


async def _eleven_words(request: web.Request) -> web.Response:
    diarize = (await _form(request)).get("diarize") == b"true"
    rows: list[dict[str, Any]] = []
    for number, word in enumerate(WORDS):
        row = {"text": word, "start": number * 1.0, "end": number + 0.9, "type": "word", "logprob": -0.1}
        rows.append({**row, **({"speaker_id": f"speaker_{speaker(number)}"} if diarize else {})})
        rows.append({"text": " ", "start": number + 0.9, "end": number + 1.0, "type": "spacing"})
    return web.json_response({"language_code": "eng", "language_probability": 0.98, "text": TEXT, "words": rows})


async def _eleven_voice(request: web.Request) -> web.Response:
    """One or more recordings, as `files` or, by curl's habit, `files[]`."""
    form = await _form(request)
    if not form.get("name") or not (form.get("files") or form.get("files[]")):
        return _eleven_failure(422)
    return web.json_response({"voice_id": f"v-{form['name'].decode()}", "requires_verification": False})


async def _eleven_account(request: web.Request) -> web.Response:
    return web.json_response({"tier": "starter", "character_count": 1200, "character_limit": 30000})


def _eleven_failure(status: int) -> web.Response:
    said = {
        401: ("invalid_api_key", "Invalid API key"),
        429: ("too_many_concurrent_requests", "Too many concurrent requests for your plan."),
        402: ("quota_exceeded", "This request exceeds your quota. You have 12 credits remaining."),
        422: ("invalid_voice", "A voice of this id was not found."),
    }
    kind, message = said.get(status, ("server_error", "Something went wrong."))
    return web.json_response({"detail": {"status": kind, "message": message}}, status=status)


ELEVENLABS = LocalService(
    "elevenlabs",
    {
        "POST /v1/text-to-speech/{voice}": _eleven_speech,
        "POST /v1/text-to-speech/{voice}/stream": _eleven_streamed,
        "POST /v1/speech-to-text": _eleven_words,
        "POST /v1/voices/add": _eleven_voice,
        "GET /v1/user/subscription": _eleven_account,
    },
    _eleven_failure,
    header="xi-api-key",
    scheme="",
)

# -- Azure --------------------------------------------------------------------------------------------


async def _azure_speech(request: web.Request) -> web.Response:
    if request.content_type != "application/ssml+xml":
        return web.Response(status=415)
    document = ElementTree.fromstring(await request.read())
    [voice] = list(document)
    style = request.headers["X-Microsoft-OutputFormat"]
    told = sound("".join(voice.itertext()), voice.attrib["name"], style)
    return web.Response(body=told, content_type="audio/mpeg")


async def _azure_voices(request: web.Request) -> web.Response:
    return web.json_response([{"ShortName": "en-US-AvaMultilingualNeural", "Locale": "en-US"}])


AZURE = LocalService(
    "azure-speech",
    {"POST /cognitiveservices/v1": _azure_speech, "GET /cognitiveservices/voices/list": _azure_voices},
    lambda status: web.Response(status=status),  # its errors have no body
    header="Ocp-Apim-Subscription-Key",
    scheme="",
)

# -- Deepgram -----------------------------------------------------------------------------------------


async def _deepgram_words(request: web.Request) -> web.Response:
    if not await request.read():
        return _deepgram_failure(400)
    diarize = request.query.get("diarize") == "true"
    words = [
        {"word": word.strip(".").lower(), "punctuated_word": word, "start": number * 1.0, "end": number + 0.9}
        | ({"speaker": speaker(number)} if diarize else {})
        for number, word in enumerate(WORDS)
    ]
    channel = {"alternatives": [{"transcript": TEXT, "confidence": 0.99, "words": words}]}
    if request.query.get("detect_language") == "true":
        channel |= {"detected_language": "en"}
    metadata = {"request_id": "r", "duration": SECONDS, "channels": 1, "models": ["m"]}
    return web.json_response({"metadata": metadata, "results": {"channels": [channel]}})


async def _deepgram_speech(request: web.Request) -> web.Response:
    asked = await request.json()
    told = sound(asked["text"], request.query["model"], request.query["encoding"])
    return web.Response(body=told, content_type="audio/mpeg")


async def _deepgram_projects(request: web.Request) -> web.Response:
    return web.json_response({"projects": [{"project_id": "p", "name": "ours"}]})


def _deepgram_failure(status: int) -> web.Response:
    said = {
        401: ("INVALID_AUTH", "Invalid credentials."),
        402: ("ASR_PAYMENT_REQUIRED", "Project does not have enough credits for an ASR request."),
        429: ("TOO_MANY_REQUESTS", "Too many requests. Please try again later"),
    }
    code, message = said.get(status, ("INTERNAL", "Something went wrong."))
    return web.json_response({"err_code": code, "err_msg": message, "request_id": "r"}, status=status)


DEEPGRAM = LocalService(
    "deepgram",
    {"POST /v1/listen": _deepgram_words, "POST /v1/speak": _deepgram_speech, "GET /v1/projects": _deepgram_projects},
    _deepgram_failure,
    scheme="Token ",
)

# -- AssemblyAI ---------------------------------------------------------------------------------------

_jobs: dict[str, tuple[dict[str, Any], int]] = {}


async def _assembly_upload(request: web.Request) -> web.Response:
    recording = await request.read()
    kind = "silence" if recording.startswith(b"SILENCE") else "slow" if recording.startswith(b"SLOW") else "speech"
    return web.json_response({"upload_url": f"https://cdn.assemblyai.com/upload/{kind}"})


async def _assembly_submit(request: web.Request) -> web.Response:
    asked = await request.json()
    id = f"t-{len(_jobs)}"
    _jobs[id] = asked, 0
    return web.json_response({"id": id, "status": "queued", "audio_url": asked["audio_url"], **_of_assembly({})})


def _of_assembly(more: dict[str, Any]) -> dict[str, Any]:
    return {"text": None, "words": None, "audio_duration": None, "error": None, "acoustic_model": "a",
            "language_model": "l", "language_confidence": None, **more}  # fmt: skip


async def _assembly_state(request: web.Request) -> web.Response:
    id = request.match_info["id"]
    asked, polls = _jobs[id]
    _jobs[id] = asked, polls + 1
    told: dict[str, Any] = {"id": id, "status": "processing", "audio_url": asked["audio_url"]}
    if asked["audio_url"].endswith("slow") or not polls:
        return web.json_response({**told, **_of_assembly({})})
    if asked["audio_url"].endswith("silence"):
        why = "language_detection cannot be performed on files with no spoken audio."
        return web.json_response({**told, **_of_assembly({"status": "error", "error": why})})
    words = [
        {"text": word, "start": number * 1000, "end": number * 1000 + 900, "confidence": 0.9}
        | {"speaker": "AB"[speaker(number)] if asked.get("speaker_labels") else None}
        for number, word in enumerate(WORDS)
    ]
    done = {"status": "completed", "text": TEXT, "words": words, "audio_duration": 7, "language_code": "en_us"}
    return web.json_response({**told, **_of_assembly(done)})


async def _assembly_deleted(request: web.Request) -> web.Response:
    return web.json_response({"id": request.match_info["id"], "status": "completed"})


async def _assembly_list(request: web.Request) -> web.Response:
    return web.json_response({"page_details": {"limit": 1, "result_count": 0}, "transcripts": []})


def _assembly_failure(status: int) -> web.Response:
    said = {401: "Authentication error, API token missing/invalid", 429: "Too many requests"}
    return web.json_response({"error": said.get(status, "Something went wrong")}, status=status)


ASSEMBLYAI = LocalService(
    "assemblyai",
    {
        "POST /v2/upload": _assembly_upload,
        "POST /v2/transcript": _assembly_submit,
        "GET /v2/transcript": _assembly_list,
        "GET /v2/transcript/{id}": _assembly_state,
        "DELETE /v2/transcript/{id}": _assembly_deleted,
    },
    _assembly_failure,
    scheme="",
)

# -- Stability ----------------------------------------------------------------------------------------


async def _stability(request: web.Request) -> web.Response:
    if b"FILTERED" in (await _form(request))["prompt"]:
        return web.json_response({"image": "", "finish_reason": "CONTENT_FILTERED", "seed": 1})
    return web.json_response({"image": base64.b64encode(PICTURE).decode(), "finish_reason": "SUCCESS", "seed": 1})


async def _stability_balance(request: web.Request) -> web.Response:
    return web.json_response({"credits": 12.5})


def _stability_failure(status: int) -> web.Response:
    said = {
        401: ("unauthorized", "authorization: invalid or missing header value"),
        402: ("payment_required", "You lack sufficient credits to make this request."),
        403: ("content_moderation", "Your request was flagged by our content moderation system"),
        429: ("rate_limit_exceeded", "You have exceeded the rate limit of 150 requests within a 10 second period"),
    }
    name, message = said.get(status, ("internal_error", "An unexpected server error has occurred"))
    return web.json_response({"id": "i", "name": name, "errors": [message]}, status=status)


STABILITY = LocalService(
    "stability",
    {"POST /v2beta/stable-image/generate/{path}": _stability, "GET /v1/user/balance": _stability_balance},
    _stability_failure,
)

# -- fal ----------------------------------------------------------------------------------------------


async def _fal_submit(request: web.Request) -> web.Response:
    asked, base = await request.json(), _base(request, "fal")
    id = f"f-{len(_jobs)}"
    _jobs[id] = asked, 0
    place = f"{base}/fal-ai/flux/requests/{id}"
    urls = {"response_url": place, "status_url": f"{place}/status", "cancel_url": f"{place}/cancel"}
    return web.json_response({"status": "IN_QUEUE", "request_id": id, "queue_position": 0, **urls})


async def _fal_status(request: web.Request) -> web.Response:
    id = request.match_info["id"]
    asked, polls = _jobs[id]
    _jobs[id] = asked, polls + 1
    state = "IN_PROGRESS" if not polls or "SLOW" in asked["prompt"] else "COMPLETED"
    return web.json_response({"status": state, "request_id": id}, status=200 if state == "COMPLETED" else 202)


async def _fal_answer(request: web.Request) -> web.Response:
    asked, _ = _jobs[request.match_info["id"]]
    if "BAD" in asked["prompt"]:
        return web.json_response({"detail": [{"loc": ["body", "prompt"], "msg": "cannot be made"}]}, status=422)
    image = {"url": f"{_base(request, 'fal')}/files/1.png", "width": 1024, "height": 768, "content_type": "image/png"}
    return web.json_response({"images": [image] * asked["num_images"], "seed": 7, "prompt": asked["prompt"]})


async def _fal_cancel(request: web.Request) -> web.Response:
    return web.json_response({"status": "CANCELLATION_REQUESTED"}, status=202)


async def _picture(request: web.Request) -> web.Response:
    return web.Response(body=PICTURE, content_type="image/png")


FAL = LocalService(
    "fal",
    {
        "POST /fal-ai/flux/schnell": _fal_submit,
        "POST /fal-ai/imagen4/preview": _fal_submit,
        "GET /fal-ai/flux/requests/{id}/status": _fal_status,
        "GET /fal-ai/flux/requests/{id}": _fal_answer,
        "PUT /fal-ai/flux/requests/{id}/cancel": _fal_cancel,
        "GET /files/1.png": _picture,
    },
    lambda status: web.json_response({"detail": "Something went wrong"}, status=status),
    scheme="Key ",
)

# -- Replicate ----------------------------------------------------------------------------------------


async def _replicate_submit(request: web.Request) -> web.Response:
    asked = await request.json()
    id = f"p{len(_jobs)}"
    _jobs[id] = asked["input"], 0
    return web.json_response({"id": id, "status": "starting", "output": None, "error": None}, status=201)


async def _replicate_state(request: web.Request) -> web.Response:
    id = request.match_info["id"]
    asked, polls = _jobs[id]
    _jobs[id] = asked, polls + 1
    told: dict[str, Any] = {"id": id, "status": "processing", "output": None, "error": None}
    if polls and "SLOW" not in asked["prompt"]:
        urls = [f"{_base(request, 'replicate')}/files/1.png"] * asked.get("num_outputs", 1)
        told |= {"status": "succeeded", "output": urls if len(urls) > 1 else urls[0], "metrics": {"predict_time": 1.5}}
    if "BAD" in asked["prompt"]:
        told |= {"status": "failed", "output": None, "error": "NSFW content detected."}
    return web.json_response(told)


async def _replicate_cancel(request: web.Request) -> web.Response:
    return web.json_response({"id": request.match_info["id"], "status": "canceled"})


async def _replicate_account(request: web.Request) -> web.Response:
    return web.json_response({"type": "user", "username": "ours"})


REPLICATE = LocalService(
    "replicate",
    {
        "POST /v1/models/black-forest-labs/flux-schnell/predictions": _replicate_submit,
        "POST /v1/predictions": _replicate_submit,
        "GET /v1/predictions/{id}": _replicate_state,
        "POST /v1/predictions/{id}/cancel": _replicate_cancel,
        "GET /v1/account": _replicate_account,
        "GET /files/1.png": _picture,
    },
    lambda status: web.json_response({"title": "Error", "detail": "Something went wrong"}, status=status),
)

MEDIA = (ELEVENLABS, AZURE, DEEPGRAM, ASSEMBLYAI, STABILITY, FAL, REPLICATE)
