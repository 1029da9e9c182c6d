"""What D still knows of samples when training is over: which of them to keep, and where better ones are."""
