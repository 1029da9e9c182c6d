"""Observers of the game. None of them trains, and none draws from a generator that training uses."""
