"""The errors of the lab."""

from __future__ import annotations


class LabError(Exception):
    """The lab could not do what a test asked for; the message says what happened and what to do."""


class DiskFullError(LabError):
    """The cache's disk has no room for what is built."""
