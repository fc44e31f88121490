"""One training run, from a folder of pictures to a measured network and its report."""
