"""The storages that tests use: real servers where one can be had."""
