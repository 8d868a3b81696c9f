"""A subset of PromQL, enough for real work; what it lacks is refused by name and never answered wrongly."""
