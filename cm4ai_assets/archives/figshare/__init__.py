"""Figshare: a client of its API, the lock of an article, and its files on request."""
