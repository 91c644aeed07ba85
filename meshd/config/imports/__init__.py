"""Configurations of other gateways, read into one of ours."""
