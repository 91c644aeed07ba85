"""The config actor over its own death."""

from __future__ import annotations

from meshd import messages
from meshd.actors.config import ConfigActor
from meshd.compilation import Directories
from meshd.config import MeshConfig
from meshd.config.source import ConfigSource
from meshd.connectors.registry import default_registry


def test_what_discovery_found_before_a_crash_is_run_by_the_next_life(neighbours):
    source = ConfigSource.of_config(MeshConfig.from_dict({}))

    def make():
        return ConfigActor(neighbours.directory, source, default_registry(), Directories())

    first = make()
    first.catalogue_changed(messages.CatalogueChanged("ollama", ({"id": "a"},)))
    first.cancel_tick("catalogue")  # as the end of a life does
    following = make()
    following.inherit(first.legacy())
    following.on_start()
    assert neighbours.next("config", messages.Tick).what == "catalogue"
    following.ticked(messages.Tick("catalogue"))
    last = make()
    last.inherit(following.legacy())
    last.on_start()
    assert last._timers == {}
