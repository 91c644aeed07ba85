"""What apps ask of images, and how an answer is made of them.

Source: https://platform.openai.com/docs/api-reference/images/create (read 2026-11-28).
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Generator, Iterable
from typing import Literal

import msgspec

from meshd.services.seam import Ask, Asked, Malformed, Result, Step, Told, cannot, told_at, wrong

MOST = 10
"""Images of one request, as with OpenAI."""
MOST_BYTES = 32 * 1024 * 1024
_NEAR = 0.04  # by which the sides' relation may differ from one that the service has
RATIOS = ("1:1", "16:9", "9:16", "3:2", "2:3", "4:3", "3:4", "5:4", "4:5", "21:9", "9:21")


class Images(msgspec.Struct):
    """seed, negative_prompt, aspect_ratio: beyond OpenAI's. quality, style, moderation: left out."""

    prompt: str
    n: int = 1
    size: str | None = None
    quality: str | None = None
    style: str | None = None
    moderation: str | None = None
    background: Literal["auto", "opaque"] | None = None
    response_format: Literal["url", "b64_json"] = "b64_json"
    output_format: Literal["png", "jpeg", "webp"] | None = None
    seed: int | None = None
    negative_prompt: str | None = None
    aspect_ratio: str | None = None

    @property
    def sides(self) -> tuple[int, int] | None:
        """Of the size; None if the app left it open."""
        if self.size is None or self.size == "auto":
            return None
        width, _, height = self.size.partition("x")
        if not (width.isdecimal() and height.isdecimal() and len(self.size) < 12 and int(width) and int(height)):
            raise wrong("size", "it has to be like 1024x1024")
        return int(width), int(height)

    def ratio(self, known: Collection[str] = RATIOS) -> str | None:
        """That of the sides which the service has; None if the app left it open. Raises ProviderFailure."""
        if self.aspect_ratio is not None:
            if self.aspect_ratio not in known:
                raise cannot("aspect_ratio", f"and it has {', '.join(known)}")
            return self.aspect_ratio
        sides = self.sides
        if sides is None:
            return None
        wanted = sides[0] / sides[1]
        best = min(known, key=lambda name: abs(_relation(name) / wanted - 1))
        if abs(_relation(best) / wanted - 1) > _NEAR:
            raise cannot("size", f"and it has {', '.join(known)}")
        return best


def read(asked: Asked, formats: Collection[str], *, lacks: Collection[str] = ()) -> Images:
    """formats: of files that the service makes. lacks: fields that it cannot follow. Raises ProviderFailure."""
    images = asked.read(Images)
    for name in lacks:
        if name in asked.fields:
            raise cannot(name)
    if not 1 <= images.n <= MOST:
        raise wrong("n", f"it has to be 1 to {MOST}")
    if images.output_format is not None and images.output_format not in formats:
        raise cannot("output_format", f"and it has {', '.join(formats)}")
    if asked.stream:
        raise cannot("stream")
    return images


def made(images: Images, found: Iterable[tuple[str, bytes]], told: Told) -> Result:
    """found: the address and the bytes of each, of which one may be empty. told: the last answer, for its time."""
    data = [_entry(images, url, content) for url, content in found]
    if not data:
        raise Malformed("without an image")
    return Result({"created": told_at(told.headers), "data": data}, units={"images": len(data)})


def _fetched(url: str) -> Ask:
    """A file that the provider refers to."""
    return Ask("GET", url=url, again=1, most=MOST_BYTES, headers={"Accept": "*/*"})


def files(images: Images, urls: Iterable[str]) -> Generator[Step, Told, list[tuple[str, bytes]]]:
    """Steps for `made`: each address, with its file if the app wants that instead."""
    found: list[tuple[str, bytes]] = []
    for url in urls:
        content = (yield _fetched(url)).body if images.response_format == "b64_json" else b""
        found.append((url, content))
    return found


def _entry(images: Images, url: str, content: bytes) -> dict[str, str]:
    if images.response_format == "b64_json":
        return {"b64_json": base64.b64encode(content).decode()}
    return {"url": url or f"data:{_kind(content)};base64,{base64.b64encode(content).decode()}"}


def _kind(content: bytes) -> str:
    if content.startswith(b"\xff\xd8"):
        return "image/jpeg"
    return "image/webp" if content[8:12] == b"WEBP" else "image/png"


def _relation(name: str) -> float:
    width, _, height = name.partition(":")
    return int(width) / int(height)
