"""26 claims about Network in Network, each measured on the machine that asks; nothing is precomputed."""
