"""The portal: one MCP endpoint, two tools, every server behind it."""
