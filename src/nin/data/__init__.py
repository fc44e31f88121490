"""Pictures in, tensors out. Does not know the network."""
