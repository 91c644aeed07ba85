"""Screens that cover the tables of `meshctl top`: the help, and one that waits for the answer to a question."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.events import Key
from textual.screen import ModalScreen
from textual.widgets import Static

HELP = """\
1 … 5, Tab, ← →   pools, models, apps, budget, events
↑ ↓, PgUp PgDn    select a line
Enter             on a pool: its models      Esc  all of them again
s, S              sort by the next column; reverse the order

r                 rotate the selected pool to its next model
d, a              take the selected model out of service; put it back
R                 read the configuration file again
                  (each asks first: y confirms, any other key cancels)
?                 this help
q, Ctrl-C         quit

busy: requests at its models now.   p50, p95, first (token): of the last
quarter of an hour for pools and apps, of its last answers for a model.
first, total above: medians of each of the last minutes.
"""


class Help(ModalScreen[None]):
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,question_mark,q,enter,space", "dismiss", "Close")]
    CSS = """
    Help { align: center middle; }
    Help > Static { width: 76; height: auto; max-height: 100%; padding: 0 1; border: round $foreground; }
    """

    def compose(self) -> ComposeResult:
        box = Static(Text(HELP))
        box.border_title = "meshctl top"
        box.border_subtitle = "Esc closes"
        yield box


class Answer(ModalScreen[bool]):
    """An invisible screen: the next key, whichever it is, answers the question below the tables."""

    CSS = "Answer { background: transparent; }"

    def on_key(self, event: Key) -> None:
        event.stop()
        event.prevent_default()
        self.dismiss(event.key == "y")
