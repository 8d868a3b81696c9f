"""The authorization server: clients, consent, codes, refresh tokens, and the built-in local sign-in."""
