"""Training, measuring and resuming a network."""
