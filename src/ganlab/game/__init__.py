"""The game: what D and G descend, in which order they step, and the one LightningModule that plays it."""
