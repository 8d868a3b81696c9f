"""A module that is no server."""
