"""Settings shared by all tests: how Hypothesis searches, and where temporary guests live."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# The first call of compiled code may take a minute, so no example has a deadline; on continuous
# integration the search is the same every time, so that a red run can be repeated.
settings.register_profile("dev", deadline=None)
settings.register_profile(
    "ci",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("ci" if os.environ.get("CI") else "dev")
