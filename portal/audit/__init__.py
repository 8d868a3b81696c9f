"""The record: one row per program and per call."""
