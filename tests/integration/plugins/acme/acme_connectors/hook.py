"""A hook: a guardrail that refuses requests with certain words."""

from meshd.sdk.hooks import Hook, Power, Refusal, RequestFacts


class WordGuard(Hook):
    may = frozenset({Power.REFUSE})
    required = True  # a request that it cannot check is not sent

    async def before_request(self, request: RequestFacts) -> Refusal | None:
        text = b" ".join(request.fields.values()).decode().casefold()
        if any(word in text for word in self.settings["words"]):
            return Refusal("The request has a word that may not leave this machine.")
        return None
