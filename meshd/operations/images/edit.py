"""Images from other images and a description."""

from msgspec.structs import replace

from meshd.operations.images.generation import FREE, IMAGE_GENERATION

IMAGE_EDIT = replace(
    IMAGE_GENERATION,
    name="images.edits",
    word="image-edit",
    paths={"openai": "/v1/images/edits", "gemini": "images"},
    capabilities=("generation.image-generation", "transformation.image-editing"),
    # https://platform.openai.com/docs/api-reference/images/createEdit
    free=(*FREE, "image", "images", "input_fidelity", "mask"),
    method="images.edit",
    form=True,
    ends=("image_edit.completed",),
    shown=("image", "images", "mask"),
)
