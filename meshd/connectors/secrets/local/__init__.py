"""Stores on this machine that meshctl can write."""
