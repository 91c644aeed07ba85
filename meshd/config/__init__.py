"""The configuration: reading, checking, comparing and writing it."""

from meshd.config.check.problems import Problem
from meshd.config.mesh_config import MeshConfig
from meshd.config.read.lookup import find_config

__all__ = ["MeshConfig", "Problem", "find_config"]
