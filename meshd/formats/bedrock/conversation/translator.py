"""The Converse API and neutral records. Apps do not speak it, so there is only the provider's direction."""

from __future__ import annotations

from meshd.formats.bedrock.conversation.answer import read_answer
from meshd.formats.bedrock.conversation.event_reader import ConverseReader
from meshd.formats.bedrock.conversation.request import write_request


class BedrockTranslator:
    """Translates conversations. A request is written for the model that it names, which is the provider's name."""

    write_request = staticmethod(write_request)
    read_answer = staticmethod(read_answer)
    event_reader = ConverseReader
