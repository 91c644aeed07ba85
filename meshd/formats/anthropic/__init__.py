"""Anthropic's Messages API: as apps speak it to the mesh, and as the mesh speaks it to a provider."""
