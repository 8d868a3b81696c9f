"""The portal's own pages: its templates over the layout and the style of the auth flow's."""

from __future__ import annotations

from pathlib import Path

from shared_auth.authorization.pages import Pages

show = Pages(Path(__file__).parent / "templates").page
"""Return one of them as a response; see Pages.page."""
