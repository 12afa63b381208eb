"""Upgrade a fleet of NetPoint servers over SSH, by the official procedure."""

__version__ = "0.1.0"
