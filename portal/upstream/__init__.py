"""The only room that dials an upstream."""
