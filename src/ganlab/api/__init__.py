"""What Python calls: each function does what the same words on the command line do, by the same code."""
