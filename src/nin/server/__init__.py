"""A trained network over HTTP (torch-free)."""
