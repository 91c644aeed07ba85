"""A rotation strategy: the order in which a pool's models are asked."""

from collections.abc import Callable, Iterable, Sequence

from meshd.sdk.strategy import Candidate, RequestFacts, Strategy


class HeaviestFirst(Strategy):
    def order(
        self, request: RequestFacts, candidates: Sequence[Candidate], now: float, random: Callable[[], float]
    ) -> Iterable[str]:
        heaviest_first = sorted(candidates, key=lambda each: (not each.up, -each.weight))
        return [each.id for each in heaviest_first]
