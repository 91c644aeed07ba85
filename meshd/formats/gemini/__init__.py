"""Google's Gemini API: as apps speak it to the mesh, and as the mesh speaks it to a provider."""
