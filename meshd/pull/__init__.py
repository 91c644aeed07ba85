"""Weights for the embedded models: fetched once, checked, kept in the data directory.

Owns: `meshctl pull` without its screen: sources, the resumable download, the folder of models.
Must never: be needed to serve a request; the daemon only looks into the folder (`store`), and loads no more of this.
"""
