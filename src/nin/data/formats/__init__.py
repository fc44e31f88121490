"""The data sets that are understood, a module a format: folders, tables, arrays, shards."""
