"""Millions of pictures classified into Parquet files with Ray Data, on one machine or a cluster (torch-free)."""
