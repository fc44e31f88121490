"""How picture files are read: what their first bytes say, and readers for what Pillow does not read safely."""
