"""What a request may use of the router: the running configuration, the live state, and where its attempts are reported.

Must never: know a request, or who answers one.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from meshd.compilation.running_config import RunningConfig
from meshd.core.sampling import Sampling
from meshd.gateway.access.app_identity import AppMatcher
from meshd.gateway.configured.connector_pool import ConnectorPool
from meshd.gateway.configured.key_renewal import KeyRenewal
from meshd.gateway.reports.outcomes import Outcomes
from meshd.gateway.reports.state_publisher import StatePublisher
from meshd.gateway.waiting_room import WaitingRoom
from meshd.messages import SecretStandings
from meshd.routing.attempts.counters import Counters
from meshd.routing.availability.state import MeshState
from meshd.routing.decision.pipeline import Pipeline
from meshd.routing.table.specs import RoutingTable
from meshd.spend.journal import JournalWriter
from meshd.spend.journal_sync import JournalSync


@dataclass(slots=True)
class Runtime:
    """config (None before the first), table and apps are replaced at a reload; a request keeps the table that it began
    with. counters: the only way to take of budgets and rates. ledger: records what an attempt may cost before it is
    sent, and what it did cost afterwards. sync: waits for the disk, if it has to. retires: the day from which a model
    is not served, where that is known."""

    state: MeshState
    pipeline: Pipeline
    counters: Counters
    connectors: ConnectorPool
    ledger: JournalWriter
    sync: JournalSync
    room: WaitingRoom
    publisher: StatePublisher
    outcomes: Outcomes
    keys: KeyRenewal
    config: RunningConfig | None = None
    sampling: Sampling = field(default_factory=Sampling)
    secrets: SecretStandings = field(default_factory=SecretStandings)
    retires: dict[str, str] = field(default_factory=dict)
    table: RoutingTable = field(default_factory=RoutingTable.empty)
    apps: AppMatcher = field(default_factory=lambda: AppMatcher(RoutingTable.empty()))
