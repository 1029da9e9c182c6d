"""One experiment: settings, building its parts, and running it to its end."""
