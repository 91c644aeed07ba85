"""Providers of services: they carry out the steps of `meshd/services` over HTTP."""
