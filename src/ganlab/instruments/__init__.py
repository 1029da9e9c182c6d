"""What is measured of the game while it is played, against its exact values. An instrument sees the two networks as functions
and never trains them; `callbacks.measure` says when it looks."""
