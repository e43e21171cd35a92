"""Lineage: what is delivered, and where it comes from."""
