"""What a run leaves on the disk: its directory, whole files, its result."""
