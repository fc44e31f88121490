"""The claims that are made about Network in Network, each measured on the reader's own machine, there and then."""
