"""One file per tool; the file, the function and the tool have one name."""
