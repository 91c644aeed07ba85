"""The section `models`: what each model can do and costs, and which parameters it gets."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from meshd.config.schema.base import Duration, Fraction, HttpUrl, Names, Positive, Section, Size, Weight
from meshd.config.schema.money import BudgetConfig, PricingConfig
from meshd.routing.table.specs import ModelSpec

MODEL = ModelSpec("", "", "", ())
"""What the section becomes, from which its keys have their defaults."""


class DeliveryConfig(Section):
    synchronous: bool = Field(default=MODEL.synchronous, description="Answers in one piece.")
    streaming: bool | None = Field(
        default=None, description="Answers as a stream.", json_schema_extra={"shown_default": "the catalogue's"}
    )
    batch: bool = Field(
        default=MODEL.batch,
        description="Pass batches for this model on to its provider's own batch API, if it has one.",
    )


class ModelBatchConfig(Section):
    max_items: Positive | None = Field(
        default=None,
        description="Most requests of one batch at its provider. A longer one is divided into several there, and the "
        "results are joined.",
        json_schema_extra={"shown_default": "the provider's limit"},
    )
    max_payload: Size | None = Field(
        default=None,
        description="Most bytes of one batch at its provider. A larger one is divided in the same way.",
        json_schema_extra={"shown_default": "the provider's limit"},
    )
    completion_window: Duration | None = Field(
        default=None,
        description="Longest time for a batch. Requests without an answer have expired then; what is answered is kept.",
        json_schema_extra={"shown_default": "what the app asks for"},
    )
    cost_discount: Fraction | None = Field(
        default=None,
        description="Fraction off the price of a batch that its provider runs.",
        json_schema_extra={"shown_default": "the catalogue's price for batches"},
    )
    callback: HttpUrl | None = Field(
        default=None, description="URL to which a notification is posted when a batch ends."
    )
    polling: Duration | None = Field(
        default=None,
        description="Time between two checks of a batch at its provider, at least 0.5 s.",
        json_schema_extra={"shown_default": "0.5 s, then longer, up to 60 s"},
    )
    partial_results: bool = Field(default=False, description="Results can be read while the batch still runs.")


class FeaturesConfig(Section):
    """None: the catalogue's row decides; without one it is unknown."""

    tool_calling: bool | None = Field(default=None, description="Calls tools.")
    structured_output: bool | None = Field(default=None, description="Answers according to a JSON schema.")
    json_mode: bool | None = Field(default=None, description="Answers in JSON on request.")
    system_prompt: bool | None = Field(default=None, description="Accepts a system prompt.")
    grounding: bool | None = Field(default=None, description="Answers with sources.")
    logprobs: bool | None = Field(default=None, description="Returns log probabilities.")
    fine_tunable: bool | None = Field(default=None, description="Can be fine-tuned.")
    vision: bool | None = Field(default=None, description="Accepts images.")
    reasoning: bool | None = Field(default=None, description="Thinks before it answers.")


class ConstraintsConfig(Section):
    context_window: Positive | None = Field(default=None, description="Tokens of input and output together.")
    max_output_tokens: Positive | None = Field(default=None, description="Tokens of output.")
    max_images: Positive | None = Field(default=None, description="Images in one request.")
    max_file_size: Size | None = Field(default=None, description="Largest file in a request.")
    supported_languages: Names = Field(default=(), description="Languages it knows.")


class ModelConfig(Section):
    """One model. A request that uses a feature that the model denies (`false`) is never sent to it. A model that does
    not declare the feature is asked after those that do."""

    provider: str = Field(
        default="",
        description="Entry of `providers` that serves it.",
        json_schema_extra={"shown_default": "the id's vendor prefix, if it names a provider"},
    )
    model: str = Field(
        default="",
        description="The provider's own name for it.",
        json_schema_extra={"shown_default": "the part after the vendor prefix"},
    )
    capabilities: Names | None = Field(
        default=None,
        description="Leaves of the capability tree it serves.",
        json_schema_extra={"shown_default": "the catalogue's"},
    )
    enabled: bool = Field(default=True, description="Whether it is used at all.")
    weight: Weight = Field(default=MODEL.weight, description="Share of requests under strategies that use weights.")
    pricing: PricingConfig = Field(default=PricingConfig.unset(), description="Prices of this model.")
    budget: BudgetConfig = Field(default=BudgetConfig.unset(), description="Spending limits.")
    delivery: DeliveryConfig = Field(default=DeliveryConfig.unset(), description="How it answers.")
    batch: ModelBatchConfig = Field(default=ModelBatchConfig.unset(), description="Batches.")
    features: FeaturesConfig = Field(
        default=FeaturesConfig.unset(),
        description="What it can do.",
        json_schema_extra={"shown_default": "the catalogue's"},
    )
    constraints: ConstraintsConfig = Field(
        default=ConstraintsConfig.unset(),
        description="Its limits.",
        json_schema_extra={"shown_default": "the catalogue's"},
    )
    defaults: dict[str, Any] = Field(
        default={}, description="Request parameters that are added if the app does not set them."
    )
    overrides: dict[str, Any] = Field(default={}, description="Request parameters that replace the app's.")
