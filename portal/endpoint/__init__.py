"""The MCP endpoint: two tools, both protocol eras, stateless, per principal."""
