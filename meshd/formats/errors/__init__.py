"""Failures of providers in any wording, classified."""
