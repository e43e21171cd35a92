"""Clients of the archives, one room each: what they offer and how it is asked for. Bytes travel through `transfer`."""
