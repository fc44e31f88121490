"""The paper's tables and figures: its numbers, and ours when they are run."""
