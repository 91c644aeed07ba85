"""Addresses and keys of providers that are asked over HTTP."""
