"""Sending models to others and fetching theirs: the hub or a folder that stands for it (torch-free)."""

from nin.bundle.hub import Shared, pull, push

__all__ = ["Shared", "pull", "push"]
