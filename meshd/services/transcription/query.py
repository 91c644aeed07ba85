"""What apps ask of a transcription, and its answer in each of OpenAI's forms.

Source: https://platform.openai.com/docs/api-reference/audio/createTranscription (read 2026-11-28).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from meshd.services.seam import Asked, File, Result, cannot, wrong

_LONGEST = 7.0  # s of a caption
_MOST = 84  # characters of a caption: two lines of subtitles
_ENDS = (".", "?", "!", "…", "。", "?", "!")


class Transcription(msgspec.Struct):
    """prompt, temperature: hints, which services without them leave out."""

    language: str | None = None
    response_format: Literal["json", "text", "srt", "verbose_json", "vtt", "diarized_json"] = "json"
    timestamp_granularities: list[Literal["word", "segment"]] | Literal["word", "segment"] = []
    prompt: str | None = None
    temperature: float | None = None

    @property
    def diarized(self) -> bool:
        return self.response_format == "diarized_json"

    @property
    def timed(self) -> bool:
        """Whether the answer's form has times."""
        return self.response_format not in ("json", "text")

    @property
    def words(self) -> bool:
        """Whether the app wants each word's time."""
        wanted = self.timestamp_granularities
        return "word" in ([wanted] if isinstance(wanted, str) else wanted)


class Word(NamedTuple):
    """start, end: seconds. speaker: "" if it is not known."""

    text: str
    start: float
    end: float
    speaker: str = ""


class Heard(NamedTuple):
    """seconds: of the audio, None if the service does not say."""

    text: str
    words: Sequence[Word] = ()
    language: str = ""
    seconds: float | None = None


def read(asked: Asked, *, lacks: Collection[str] = ()) -> tuple[Transcription, File]:
    """lacks: fields that the service cannot follow. Raises ProviderFailure."""
    wanted = asked.read(Transcription)
    for name in lacks:
        if name in asked.fields:
            raise cannot(name)
    files = [file for file in asked.files if file.field == "file"]
    if len(files) != 1:
        raise wrong("file", "there has to be one file")
    return wanted, files[0]


def media_type(file: File) -> str:
    """As the app told it; services look into the file if that says nothing."""
    known = file.content_type.partition(";")[0].strip().lower()
    return known if known.startswith(("audio/", "video/")) else "application/octet-stream"


def answer(wanted: Transcription, heard: Heard) -> Result:
    """In the form that the app asked for."""
    seconds = heard.seconds if heard.seconds is not None else max((word.end for word in heard.words), default=None)
    units = {} if seconds is None else {"seconds": int(-(-seconds // 1))}
    match wanted.response_format:
        case "text":
            return Result(body=f"{heard.text}\n".encode(), content_type="text/plain; charset=utf-8", units=units)
        case "srt":
            return Result(body=_srt(heard).encode(), content_type="text/plain; charset=utf-8", units=units)
        case "vtt":
            return Result(body=_vtt(heard).encode(), content_type="text/plain; charset=utf-8", units=units)
    done = {"type": "transcript.text.done", "text": heard.text}
    events = ({"type": "transcript.text.delta", "delta": heard.text}, done) if heard.text else (done,)
    return Result(_document(wanted, heard, seconds), units=units, events=events)


def _document(wanted: Transcription, heard: Heard, seconds: float | None) -> dict[str, Any]:
    usage = {} if seconds is None else {"usage": {"type": "duration", "seconds": int(-(-seconds // 1))}}
    if wanted.response_format == "json":
        return {"text": heard.text, **usage}
    document: dict[str, Any] = {"task": "transcribe", "duration": seconds or 0.0, "text": heard.text}
    if heard.language:
        document["language"] = heard.language
    captions = [*_captions(heard.words)]
    if wanted.diarized:
        document["segments"] = [
            {"type": "transcript.text.segment", "id": f"seg_{n}", "start": start, "end": end, "text": text,
             "speaker": speaker}
            for n, (text, start, end, speaker) in enumerate(captions)
        ]  # fmt: skip
        return {**document, **usage}
    document["segments"] = [
        {"id": n, "start": start, "end": end, "text": text} for n, (text, start, end, _) in enumerate(captions)
    ]
    if wanted.words:
        document["words"] = [{"word": word.text, "start": word.start, "end": word.end} for word in heard.words]
    return {**document, **usage}


def _captions(words: Iterable[Word]) -> Iterable[Word]:
    """The words of each sentence, speaker, or few seconds."""
    held: list[Word] = []
    for word in words:
        text = " ".join(each.text for each in held)
        full = held and (
            word.speaker != held[0].speaker
            or word.end - held[0].start > _LONGEST
            or len(text) + len(word.text) >= _MOST
        )
        if full or (held and held[-1].text.endswith(_ENDS)):
            yield _caption(held)
            held = []
        held.append(word)
    if held:
        yield _caption(held)


def _caption(words: Sequence[Word]) -> Word:
    return Word(" ".join(word.text for word in words), words[0].start, words[-1].end, words[0].speaker)


def _all_captions(heard: Heard) -> list[Word]:
    found = [*_captions(heard.words)]
    return found or ([Word(heard.text, 0.0, heard.seconds or 0.0)] if heard.text else [])


def _srt(heard: Heard) -> str:
    return "".join(
        f"{n}\n{_clock(each.start, ',')} --> {_clock(each.end, ',')}\n{each.text}\n\n"
        for n, each in enumerate(_all_captions(heard), 1)
    )


def _vtt(heard: Heard) -> str:
    cues = (f"{_clock(each.start, '.')} --> {_clock(each.end, '.')}\n{each.text}\n\n" for each in _all_captions(heard))
    return f"WEBVTT\n\n{''.join(cues)}"


def _clock(seconds: float, sign: str) -> str:
    thousandths = round(seconds * 1000)
    minutes, rest = divmod(thousandths, 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest // 1000:02d}{sign}{rest % 1000:03d}"


def moment(value: Any, per_second: float = 1.0) -> float:
    """Seconds, of a number that the provider gave; 0 of anything else."""
    good = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e9
    return round(value / per_second, 3) if good else 0.0
