"""What shows and explains a run."""
