"""Replicate: https://replicate.com/docs/topics/predictions/create-a-prediction (read 2026-11-28).

A model is `owner/name`, or `owner/name:version`. Each has parameters of its own; those that most have are sent.
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
    pauses,
    segment,
    text,
)

_FORMATS = {"png": "png", "jpeg": "jpg", "webp": "webp"}
_OPEN = ("starting", "processing", "queued")


def generation(asked: Asked) -> Steps:
    images = read(asked, _FORMATS)
    job = (yield _submitted(asked.model, _input(images))).object()
    path = f"v1/predictions/{segment(job.get('id'))}"
    yield Begun(Ask("POST", f"{path}/cancel"))
    waits = pauses()
    while True:
        told = yield Ask("GET", path, again=POLLED)
        job = told.object()
        if job.get("status") not in _OPEN:
            break
        yield Wait(next(waits))
    if job.get("status") != "succeeded":
        raise failed(text(job.get("error")) or f"the prediction ended as {job.get('status')}")
    output = job.get("output")
    urls = [each for each in (output if isinstance(output, list) else [output]) if isinstance(each, str) and each]
    if not urls:
        raise Malformed("without an output")
    found = yield from files(images, urls)
    return made(images, found, told)


def _submitted(model: str, wanted: dict[str, Any]) -> Ask:
    name, _, version = model.partition(":")
    if version:
        return Ask("POST", "v1/predictions", json={"version": version, "input": wanted})
    return Ask("POST", f"v1/models/{name}/predictions", json={"input": wanted})


def _input(images: Images) -> dict[str, Any]:
    wanted: dict[str, Any] = {"prompt": images.prompt}
    if images.n > 1:
        wanted["num_outputs"] = images.n
    if (ratio := images.ratio()) is not None:
        wanted["aspect_ratio"] = ratio
    if images.output_format is not None:
        wanted["output_format"] = _FORMATS[images.output_format]
    if images.seed is not None:
        wanted["seed"] = images.seed
    if images.negative_prompt is not None:
        wanted["negative_prompt"] = images.negative_prompt
    return wanted


REPLICATE = Service({"images.generations": generation})
