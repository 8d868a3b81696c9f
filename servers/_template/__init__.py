"""Notes of a team: the server that every new server starts from."""
