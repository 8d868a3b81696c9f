"""Side-by-side measurements against named peers, in one run on one machine."""
