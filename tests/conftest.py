"""What every test run shares: how hard the property tests try."""

from __future__ import annotations

from hypothesis import settings

# A busy machine is no reason to fail: time limits are pytest's.
settings.register_profile("quick", deadline=None)
settings.register_profile("sim", deadline=None, max_examples=10_000)
settings.load_profile("quick")
