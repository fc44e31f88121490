"""A model as a page that shows everything it computes: served on this machine, or written as a file (torch-free)"""
