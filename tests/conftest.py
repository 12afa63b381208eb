"""Hypothesis' profiles; the order of the tests, and what a run prints of itself, are in `hooks.py`."""

import os

from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.hooks"]

# A busy machine is no failure; `--hypothesis-profile` wins over the variable.
# A continuous integration tries the same examples each time: it judges the change, and others look for new ones.
settings.register_profile("fast", max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow],
                          derandomize=bool(os.environ.get("CI")))  # fmt: skip
settings.register_profile("ci", max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fast"))
