"""Dataverse: a client of its native API, what its answers mean, and from a locked file to stored bytes."""
