"""Streams of the Responses API: reading, judging and assembling their events."""
