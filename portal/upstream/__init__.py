"""The only room that dials an upstream: connection, registry, results, failures."""
