"""Where rows and pictures go: the run's own table always, Weights & Biases and TensorBoard by choice."""
