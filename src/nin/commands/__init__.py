"""What is done with a trained network, one module a verb; the command line and Python call the same."""
