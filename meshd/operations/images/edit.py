"""Images from other images and a description."""

from meshd.operations.images.count import images
from meshd.sdk.calls.operation import OperationSpec

IMAGE_EDIT = OperationSpec(
    name="images.edits",
    word="image-edit",
    paths={"openai": "/v1/images/edits"},
    capabilities=("generation.image-generation", "transformation.image-editing"),
    text=("prompt",),
    # https://platform.openai.com/docs/api-reference/images/createEdit
    free=(
        "background",
        "image",
        "images",
        "input_fidelity",
        "mask",
        "moderation",
        "output_compression",
        "output_format",
        "partial_images",
        "quality",
        "response_format",
        "size",
    ),
    default="image-generation",
    method="images.edit",
    form=True,
    answers={("stream", True): "events"},
    ends=("image_edit.completed",),
    rows=("data", "b64_json", "url"),
    tokens=False,
    units=images,
    output=False,
    told=True,
    cached=False,
    continued=False,
)
