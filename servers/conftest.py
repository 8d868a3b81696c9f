"""What holds for the tests of every server."""

from __future__ import annotations

import hypothesis

# No test may fail because the machine is slow: how long something takes is a matter of bench/.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")
