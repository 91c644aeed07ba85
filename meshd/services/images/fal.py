"""fal: https://docs.fal.ai/documentation/model-apis/inference/queue (read 2026-11-28).

A request waits in fal's queue. Each model has parameters of its own; those that most have are sent.
"""

from __future__ import annotations

from typing import Any

from meshd.services.images.query import Images, files, made, read
from meshd.services.seam import (
    POLLED,
    Ask,
    Asked,
    Begun,
    Malformed,
    Service,
    Steps,
    Wait,
    failed,
    objects,
    pauses,
    text,
)

_FORMATS = ("png", "jpeg", "webp")
_BY_RATIO = ("imagen", "nano-banana", "ultra", "gemini")
"""In names of models that take the relation of the sides, and no size."""


def generation(asked: Asked) -> Steps:
    images = read(asked, _FORMATS)
    job = (yield Ask("POST", asked.model, json=_input(images, asked.model))).object()
    status, response = text(job.get("status_url")), text(job.get("response_url"))
    if not status or not response:
        raise Malformed("without a status_url")
    cancel = text(job.get("cancel_url"))
    yield Begun(Ask("PUT", url=cancel) if cancel else None)
    waits, state = pauses(), job.get("status")
    while state in (None, "IN_QUEUE", "IN_PROGRESS"):
        yield Wait(next(waits))
        told = (yield Ask("GET", url=status, again=POLLED)).object()
        state = told.get("status", "")
    if state != "COMPLETED":
        raise failed(f"the request ended as {state}")
    answer = yield Ask("GET", url=response, again=POLLED)
    urls = [url for each in objects(answer.object().get("images")) if (url := text(each.get("url")))]
    found = yield from files(images, urls)
    return made(images, found, answer)


def _input(images: Images, model: str) -> dict[str, Any]:
    body: dict[str, Any] = {"prompt": images.prompt, "num_images": images.n}
    if any(word in model for word in _BY_RATIO) or images.aspect_ratio is not None:
        if (ratio := images.ratio()) is not None:
            body["aspect_ratio"] = ratio
    elif (sides := images.sides) is not None:
        body["image_size"] = {"width": sides[0], "height": sides[1]}
    if images.output_format is not None:
        body["output_format"] = images.output_format
    if images.seed is not None:
        body["seed"] = images.seed
    if images.negative_prompt is not None:
        body["negative_prompt"] = images.negative_prompt
    return body


FAL = Service({"images.generations": generation})
