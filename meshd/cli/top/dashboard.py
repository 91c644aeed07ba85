"""The terminal application of `meshctl top`.

Owns: the layout, the keys, and when to ask the daemon.
Must never: work out what is shown (`model.py`, `lines.py`), or talk to the daemon itself (`source.py`).
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar, TypeVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.coordinate import Coordinate
from textual.widget import Widget
from textual.widgets import DataTable, Static

from meshd.cli.daemon import problem_line
from meshd.cli.top import lines, model, tables
from meshd.cli.top.model import History, Row, Snapshot, Table
from meshd.cli.top.screens import Answer, Help
from meshd.cli.top.source import Source
from meshd.host.plain_text import one_line
from modelmesh.errors import MeshError

TABS = ("pools", "models", "apps", "budget", "events")
W = TypeVar("W", bound=Widget)
KEPT_EVENTS = 200


class Top(App[None]):
    """interval: s between two questions to the daemon."""

    TITLE = "meshctl top"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q,ctrl+c", "quit", "quit"),
        Binding("question_mark", "help", "help"),
        *(Binding(str(place + 1), f"tab('{name}')", name) for place, name in enumerate(TABS)),
        Binding("tab,right", "turn(1)", "next tab", priority=True),
        Binding("shift+tab,left", "turn(-1)", "last tab", priority=True),
        Binding("s", "sort", "sort"),
        Binding("S", "reverse", "reverse"),
        Binding("r", "rotate", "rotate"),
        Binding("a", "switch('activate')", "activate"),
        Binding("d", "switch('deactivate')", "deactivate"),
        Binding("R", "reload", "reload"),
        Binding("escape", "all", "all"),
    ]
    CSS = """
    Screen { layout: vertical; }
    Screen > Static { height: 1; padding: 0 1; }
    #tabs { margin-top: 1; }
    DataTable { height: 1fr; padding: 0; background: transparent; scrollbar-size-vertical: 1; overflow-x: hidden; }
    DataTable > .datatable--header { text-style: bold; background: transparent; }
    DataTable > .datatable--cursor { text-style: reverse; background: transparent; color: $foreground; }
    #empty { height: 1fr; display: none; }
    #events { height: auto; border-top: solid $foreground 30%; }
    #events > Static { height: 1; padding: 0 1; }
    """

    def __init__(self, source: Source, interval: float = 1.0) -> None:
        super().__init__()
        self.theme = "ansi-dark"
        self._source = source
        self._interval = interval
        self._history = History()
        self._snapshot: Snapshot | None = None
        self._events: deque[Row] = deque(maxlen=KEPT_EVENTS)
        self._lost = ""
        self._tab = TABS[0]
        self._pool: str | None = None  # whose models are shown
        self._sorting: dict[str, tuple[int, bool]] = {}
        self._question = ""
        self._said: tuple[str, str] = ("", "")
        self._shown: tuple[Any, ...] = ()
        self._laid_out = False

    def compose(self) -> ComposeResult:
        yield Static(id="head")
        yield Static(id="gauges")
        yield Static(id="spend")
        yield Static(id="tabs")
        yield DataTable(cursor_type="row", id="table")
        yield Static(id="empty")
        with Vertical(id="events"):
            for place in range(8):
                yield Static(id=f"event{place}")
        yield Static(id="said")
        yield Static(id="keys")

    def on_mount(self) -> None:
        self._laid_out = True
        self._find("#events", Vertical).border_title = "events"
        self._find("#table", DataTable).focus()
        self.run_worker(self._look(), exit_on_error=True)
        self.run_worker(self._listen(), exit_on_error=True)
        self._draw()

    def on_resize(self) -> None:
        self._draw()

    async def on_unmount(self) -> None:
        await self._source.close()

    def export_screenshot(self, *, title: str | None = None, simplify: bool = False) -> str:
        """Like textual's own, without the fonts that a viewer would load from the network."""
        svg = super().export_screenshot(title=title, simplify=simplify)
        return re.sub(r"\s*@font-face \{.*?\}", "", svg, flags=re.DOTALL).replace("Fira Code, ", "")

    # -- from the daemon ------------------------------------------------------------------------------

    async def _look(self) -> None:
        while True:
            try:
                self._snapshot = await self._source.snapshot()
            except MeshError as error:
                self._lost = error.message
            else:
                self._lost = ""
                self._history.add(self._snapshot)
            self._draw()
            await asyncio.sleep(self._interval)

    async def _listen(self) -> None:
        while True:
            try:
                async for event in self._source.events():
                    if event not in self._events:  # it may be known from before a lost connection
                        self._events.append(event)
                        if self._standing:
                            self._draw_events()
            except MeshError:
                pass
            await asyncio.sleep(self._interval)

    @property
    def _standing(self) -> bool:
        """Whether there is a screen to draw on. When the application ends, workers outlive it."""
        return self._laid_out and self.is_running

    # -- keys -----------------------------------------------------------------------------------------

    def action_tab(self, name: str) -> None:
        self._tab = name
        self._draw()

    def action_turn(self, by: int) -> None:
        self.action_tab(TABS[(TABS.index(self._tab) + by) % len(TABS)])

    def action_help(self) -> None:
        self.push_screen(Help())

    def action_all(self) -> None:
        self._pool = None
        self._say("")

    def action_sort(self) -> None:
        table = self._table()
        if table is not None:
            column, _ = self._sorting.get(self._tab, (-1, False))
            columns = [place for place, _ in model.fitted(table, self.size.width)]
            following = next((place for place in columns if place > column), columns[0])
            # Names are sorted from A to Z, numbers from the highest down.
            self._sorting[self._tab] = (following, table.columns[following].right)
            self._draw()

    def action_reverse(self) -> None:
        column, descending = self._sorting.get(self._tab, (0, False))
        self._sorting[self._tab] = (column, not descending)
        self._draw()

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        if self._tab == "pools" and event.row_key.value is not None:
            self._pool = event.row_key.value
            self.action_tab("models")

    def action_rotate(self) -> None:
        pool = self._selected("pools", "a pool to rotate")
        if pool is not None:
            self._ask(f"rotate {pool} to its next model?", lambda: self._rotate(pool))

    def action_switch(self, verb: str) -> None:
        chosen = self._selected("models", f"a model to {verb}")
        if chosen is not None:
            what = "take it out of service" if verb == "deactivate" else "put it into service"
            self._ask(f"{chosen}: {what}?", lambda: self._switch(verb, chosen))

    def action_reload(self) -> None:
        self._ask("read the configuration file again?", self._reload)

    def _selected(self, tab: str, what: str) -> str | None:
        table = self._find("#table", DataTable)
        if self._tab != tab or not table.row_count:
            self._say(f"select {what} first: key {TABS.index(tab) + 1}", model.WARN)
            return None
        return table.coordinate_to_cell_key(table.cursor_coordinate).row_key.value

    # -- commands -------------------------------------------------------------------------------------

    def _ask(self, question: str, work: Callable[[], Coroutine[Any, Any, tuple[str, str]]]) -> None:
        def answered(yes: bool | None) -> None:
            self._question = ""
            self._say("…" if yes else "not done", model.FAINT)
            if yes:
                self.run_worker(self._order(work()))

        self._question = question
        self._draw_said()
        self.push_screen(Answer(), answered)

    async def _order(self, work: Coroutine[Any, Any, tuple[str, str]]) -> None:
        try:
            said = await work
        except MeshError as error:
            said = (error.message, model.BAD)
        self._say(*said)

    async def _rotate(self, pool: str) -> tuple[str, str]:
        answer = await self._source.order("rotate", {"pool": pool})
        return f"{pool} → {answer.get('to') or 'nothing'} (was {answer.get('from') or 'nothing'})", model.GOOD

    async def _switch(self, verb: str, id: str) -> tuple[str, str]:
        answer = await self._source.order(f"models/{verb}", {"id": id, "reason": "meshctl top"})
        return f"{answer.get('id', id)} is {answer.get('status')}", model.GOOD

    async def _reload(self) -> tuple[str, str]:
        report = await self._source.order("reload", {})
        if not report.get("ok"):
            problems = report.get("problems") or [{}]
            more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
            return f"refused: {problem_line(problems[0])}{more}", model.BAD
        changes = report.get("changes") or ()
        if not changes:
            return "nothing to change", model.GOOD
        return f"{len(changes)} changed, generation {report.get('generation')}: {changes[0]}", model.GOOD

    # -- drawing --------------------------------------------------------------------------------------

    def _say(self, what: str, tone: str = "") -> None:
        self._said = (what, tone)
        self._draw()

    def _draw(self) -> None:
        if not self._standing:
            return
        width, snapshot = self.size.width - 2, self._snapshot
        self._put("head", lines.head(snapshot, self._history, self._lost, width))
        self._put("gauges", lines.gauges(snapshot, self._history, width))
        self._put("spend", lines.spend(snapshot, width))
        self._put("tabs", lines.tabs(TABS, self._tab, self._pool))
        self._draw_table()
        self._draw_events()
        self._draw_said()
        self._put("keys", lines.keys(self._tab))

    def _find(self, selector: str, kind: type[W]) -> W:
        """A widget of the application's main screen, even while the help covers it."""
        return self.screen_stack[0].query_one(selector, kind)

    def _put(self, id: str, text: Text) -> None:
        if (plain := one_line(text.plain)) != " ".join(text.plain.split()):
            text = Text(plain)
        text.truncate(max(1, self.size.width - 2), overflow="ellipsis")
        self._find(f"#{id}", Static).update(text)

    def _table(self) -> Table | None:
        snapshot, history = self._snapshot, self._history
        if snapshot is None:
            return None
        match self._tab:
            case "pools":
                table = tables.pools_table(snapshot, history)
            case "models":
                table = tables.models_table(snapshot, self._pool)
            case "apps":
                table = tables.apps_table(snapshot, history)
            case "budget":
                table = tables.budget_table(snapshot)
            case _:
                table = tables.events_table(self._events)
        return table.sorted(*self._sorting[self._tab]) if self._tab in self._sorting else table

    def _draw_table(self) -> None:
        widget, empty, table = self._find("#table", DataTable), self._find("#empty", Static), self._table()
        widget.display = bool(table is not None and table.lines)
        empty.display = not widget.display
        if table is None or not table.lines:
            widget.clear()
            self._shown = ()
            empty.update(Text(table.empty if table is not None else "", "dim"))
            return
        columns = model.fitted(table, self.size.width)
        heads = tuple((place, width, self._heading(table, place)) for place, width in columns)
        keys = tuple(line.key for line in table.lines)
        cells = [
            [lines.cell(line.cells[place], table.columns[place], width) for place, width in columns]
            for line in table.lines
        ]
        if self._shown == (self._tab, heads, keys):
            for row, line in enumerate(cells):
                for column, cell in enumerate(line):
                    before = widget.get_cell_at(Coordinate(row, column))
                    if (before.plain, before.style) != (cell.plain, cell.style):
                        widget.update_cell_at(Coordinate(row, column), cell)
            return
        self._fill(widget, heads, keys, cells, table)
        self._shown = (self._tab, heads, keys)

    def _fill(self, widget: DataTable[Any], heads: Any, keys: tuple[str, ...], cells: Any, table: Table) -> None:
        """Fill the table again, and keep the cursor on the same line."""
        before = widget.cursor_row
        chosen = self._shown[2][before] if self._shown and self._shown[0] == self._tab and self._shown[2] else None
        widget.clear(columns=True)
        for place, width, heading in heads:
            widget.add_column(Text(heading, justify="right" if table.columns[place].right else "left"), width=width)
        for key, line in zip(keys, cells, strict=True):
            widget.add_row(*line, key=key)
        widget.move_cursor(row=keys.index(chosen) if chosen in keys else 0)

    def _heading(self, table: Table, place: int) -> str:
        column, descending = self._sorting.get(self._tab, (-1, False))
        return table.columns[place].name + (("▾" if descending else "▴") if place == column else "")

    def _draw_events(self) -> None:
        box = self._find("#events", Vertical)
        room = 0 if self._tab == "events" or self.size.height < 18 else 8 if self.size.height >= 34 else 4
        box.display = room > 0
        latest = lines.events(list(self._events)[-room:][::-1] if room else [])
        if not latest:
            latest = [Text("no events yet", "dim")]
        for place in range(8):
            line = self._find(f"#event{place}", Static)
            line.display = place < room
            self._put(f"event{place}", latest[place] if place < len(latest) else Text())
        if self._tab == "events":
            self._draw_table()

    def _draw_said(self) -> None:
        if self._question:
            self._put("said", Text.assemble((self._question, "bold"), "  y: yes, any other key: no"))
        else:
            self._put("said", Text(self._said[0], lines.STYLES[self._said[1]]))
