"""The configuration: reading, checking, comparing and writing it.

Owns: everything from the text of a file to the typed sections that the actors get.
Must never: import an actor, a connector or the network.
"""

from meshd.config.check.problems import Problem
from meshd.config.mesh_config import MeshConfig, configuration_error
from meshd.config.read.loading import load_file, load_text
from meshd.config.read.lookup import find_config

__all__ = ["MeshConfig", "Problem", "configuration_error", "find_config", "load_file", "load_text"]
