"""`make bench-tokens`: what a task costs an agent in tokens, and whether it ends right, by several ways.

`tasks` says what is asked and what is true, `world` runs the servers, `agents` are the ways, `conversation` counts.
"""
