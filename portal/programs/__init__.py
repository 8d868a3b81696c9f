"""One program's life: parse, resolve, check, run, result."""
