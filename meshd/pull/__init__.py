"""Weights for the embedded models: fetched once, checked, kept in the data directory.

Owns: `meshctl pull` without its screen: sources, the resumable download, the folder of models.
Must never: be needed to serve a request; the daemon only looks into the folder.
"""

from meshd.pull.errors import PullError
from meshd.pull.fetch import Progress
from meshd.pull.store import PulledModel, data_dir, find, list_models, models_dir, pull, remove, resolve

__all__ = [
    "Progress",
    "PullError",
    "PulledModel",
    "data_dir",
    "find",
    "list_models",
    "models_dir",
    "pull",
    "remove",
    "resolve",
]
