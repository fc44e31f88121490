"""Very many pictures answered into Parquet on Ray Data, on one machine or a cluster (torch-free)."""
