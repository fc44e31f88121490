"""What a run shows: the page, its drawings, and pictures of class maps."""
