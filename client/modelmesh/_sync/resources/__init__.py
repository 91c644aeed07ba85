# Generated from modelmesh/_async/resources/__init__.py by client/sync_twins.py; edit that file.
"""The parts of the client by which an app calls the API."""
