"""CURVE at the mesh socket: keys, handshakes, and frames that are sealed."""
