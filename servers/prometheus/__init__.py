"""Prometheus and Alertmanager: metrics, rules, alerts and silences."""
