"""Jailed CPython: what Monty's Python lacks, behind the same contract, on processes that serve one program each."""
