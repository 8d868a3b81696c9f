"""An upstream whose tool takes as long as it is told: for tests of what happens in the middle of a program."""
