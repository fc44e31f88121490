"""A trained network as a folder: everything that using it needs (torch-free)"""
