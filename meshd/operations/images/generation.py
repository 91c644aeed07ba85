"""Images from a description."""

from meshd.operations.images.count import images
from meshd.sdk.calls.operation import OperationSpec

FREE = (
    "background",
    "moderation",
    "output_compression",
    "output_format",
    "partial_images",
    "quality",
    "response_format",
    "size",
)

IMAGE_GENERATION = OperationSpec(
    name="images.generations",
    word="image",
    paths={"openai": "/v1/images/generations", "gemini": "images"},
    capabilities=("generation.image-generation",),
    text=("prompt",),
    free=(*FREE, "style"),  # https://platform.openai.com/docs/api-reference/images/create
    default="image-generation",
    method="images.generate",
    answers={("stream", True): "events"},
    ends=("image_generation.completed",),
    rows=("data", "b64_json", "url"),
    tokens=False,
    units=images,
    priced_by=("quality", "size"),
    output=False,
    told=True,
    cached=False,
    continued=False,
)
