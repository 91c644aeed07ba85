# Generated from modelmesh/_async/resources/images.py by client/sync_twins.py; edit that file.
"""`client.images`."""

from __future__ import annotations

from typing import Any

from modelmesh._openai_sdk.arguments import NOT_GIVEN
from modelmesh._sync.resources.resource import Resource
from modelmesh.types import Object


class Images(Resource):
    _called = "client.images"

    def generate(self, *, prompt: str, stream: Any = NOT_GIVEN, **params: Any) -> Any:
        """Generate images from a description: an Object with `data`, or a stream of events."""
        params |= {"prompt": prompt, "stream": stream}
        return self._sender.ask("/v1/images/generations", Object, "image-generation", params, stream=bool(stream))

    def edit(self, *, image: Any, prompt: str, mask: Any = NOT_GIVEN, stream: Any = NOT_GIVEN, **params: Any) -> Any:
        """Change an image, or a list of them, by a description. image, mask: like the `file` of a transcription."""
        params |= {"prompt": prompt, "stream": stream}
        files = {"image": image, "mask": mask}
        return self._sender.ask(
            "/v1/images/edits", Object, "image-generation", params, files=files, stream=bool(stream)
        )
