"""Reports what providers announce: changed prices, and models that will be retired.

Owns: each model's last known prices, the days on which models end, and what was announced about these.
Must never: decide what a price is (`compilation`), or set a model aside.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

from meshd import messages
from meshd.core.events.event_type import EventType
from meshd.core.money import dollars
from meshd.core.prices import PRICED, Pricing
from meshd.gateway.actors import Tell
from meshd.gateway.reports.ends import SOON, Today, ends_on, today
from meshd.gateway.runtime import Runtime
from meshd.routing.table.specs import ModelSpec, Origin

ANNOUNCED = "announced"
"""The table of the stored state."""
_STAGES = (SOON, 30, 7, 1, 0)
"""Days before the end: as each of them is reached, the event is repeated."""
_FAR = 10**6
_MOST_ABSENT = 1000  # models that are not (or no longer) in use, whose prices are remembered


class Announcements:
    """For one router."""

    def __init__(self, runtime: Runtime, tell: Tell, now: Today = today) -> None:
        self._runtime = runtime
        self._tell = tell
        self._today = now
        self.known: dict[str, dict[str, Any]] = {}
        """Model → its `prices`, and the `retires` and `stage` that were announced."""
        self._day = now()
        self._listed: dict[tuple[str, str], str] = {}  # provider and its name for a model → the day in its list

    def restore(self, rows: Mapping[str, Mapping[str, Any]], *, late: bool = False) -> None:
        """Load what an earlier run announced. late: beside what this one has."""
        found = {id: dict(row) for id, row in rows.items() if _are_prices(row.get("prices", {}))}
        self.known = found | self.known if late else found

    def committed(self) -> None:
        """Another table is in use."""
        models = self._runtime.table.models
        for model in models.values():
            self._compare_prices(model)
        self._say_ends(models.values())
        if len(absent := self.known.keys() - models.keys()) > _MOST_ABSENT:
            for id in absent:
                del self.known[id]
                self._tell("state", messages.StateChanged(ANNOUNCED, id, None))

    def look(self) -> None:
        """Called now and then: another day may have begun."""
        if self._day != (day := self._today()):
            self._day = day
            self._say_ends(self._runtime.table.models.values())

    def listed(self, provider: str, models: Sequence[Mapping[str, Any]]) -> None:
        """A provider's list has come."""
        self._listed = {key: day for key, day in self._listed.items() if key[0] != provider}
        self._listed |= {(provider, str(each["id"])): str(each["retires"]) for each in models if each.get("retires")}
        self._say_ends(each for each in self._runtime.table.models.values() if each.provider == provider)

    # -- prices ---------------------------------------------------------------------------------------

    def _compare_prices(self, model: ModelSpec) -> None:
        prices = _prices(model.pricing) if model.priced else {}
        before = self.known.get(model.id, {}).get("prices")
        if not prices or prices == before:
            return
        self._save(model.id, prices=prices)
        if not before:
            return
        changed = {
            key: [dollars(before.get(key, 0)), dollars(prices.get(key, 0))]
            for key in dict.fromkeys([*before, *prices])
            if before.get(key, 0) != prices.get(key, 0)
        }
        since = f", as of {model.priced_on}" if model.priced_on else ", as configured"
        said = ", ".join(f"{key} {old:g} → {new:g} USD" for key, (old, new) in changed.items())
        dearer = any(new > old for old, new in changed.values())
        day = model.priced_on or self._today().isoformat()
        self._say(EventType.PRICE_CHANGED, dearer, model, said + since, {"prices": changed, "day": day})

    # -- ends -----------------------------------------------------------------------------------------

    def _say_ends(self, models: Iterable[ModelSpec]) -> None:
        """For models that the configuration names or that are a pool's current one. The status shows all others."""
        runtime = self._runtime
        asked = {runtime.state.pool(name).current for name in runtime.table.pools}
        for model in models:
            day = self._listed.get((model.provider, model.upstream)) or model.retires
            if not day:
                runtime.retires.pop(model.id, None)
                continue
            runtime.retires[model.id] = day
            if model.origin is not Origin.CONFIGURED and model.id not in asked:
                continue
            left = (date.fromisoformat(day) - self._today()).days
            stage = min((each for each in _STAGES if left <= each), default=_FAR)
            known = self.known.get(model.id, {})
            if (known.get("retires"), known.get("stage")) == (day, stage):
                continue
            self._save(model.id, retires=day, stage=stage)
            self._say(
                EventType.MODEL_DEPRECATED, stage <= SOON, model, f"its provider {ends_on(day, left)}", {"day": day}
            )

    # -- both -----------------------------------------------------------------------------------------

    def _say(self, type: EventType, warns: bool, model: ModelSpec, reason: str, changed: dict[str, Any]) -> None:
        ids = {"model": model.id, "provider": model.provider}
        self._runtime.publisher.event(type, "warning" if warns else "info", ids, reason, changed)

    def _save(self, model: str, **said: Any) -> None:
        self.known[model] = {**self.known.get(model, {}), **said}
        self._tell("state", messages.StateChanged(ANNOUNCED, model, self.known[model]))


def _are_prices(told: Any) -> bool:
    return isinstance(told, dict) and all(type(price) is int for price in told.values())


def _prices(pricing: Pricing) -> dict[str, int]:
    """The prices that it has, by their keys, including those of longer prompts; 10⁻⁹ USD."""
    found = {"input_per_1m": pricing.input_per_1m, "output_per_1m": pricing.output_per_1m}
    found |= {"cached_input_per_1m": pricing.cached_input_per_1m or 0, "per_request": pricing.per_request}
    found |= {PRICED[unit].price: price for unit, price in pricing.of_units.items()}
    for step in pricing.long_prompts:
        found[f"long_prompts.{step.above}.input_per_1m"] = step.input_per_1m
        found[f"long_prompts.{step.above}.output_per_1m"] = step.output_per_1m
    return {key: price for key, price in found.items() if price}
