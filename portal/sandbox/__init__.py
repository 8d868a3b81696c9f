"""Untrusted programs, in their own jailed process; knows nothing of MCP, of people or of policy."""
