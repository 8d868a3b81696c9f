"""The smallest upstream: three reads and one write that do nothing.

`python -m bench.upstream PORT` serves it over HTTP.
"""
