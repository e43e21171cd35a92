"""Clients of the archives, verified acquisition, and the content-addressed store of published bytes."""
