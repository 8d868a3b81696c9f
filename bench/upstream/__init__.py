"""The smallest upstream: one read and one write that do nothing.

`python -m bench.upstream PORT` serves it over HTTP.
"""
