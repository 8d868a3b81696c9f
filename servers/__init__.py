"""The MCP servers. Each folder is one server; _kit is what they are made of; _template is the one to copy."""
