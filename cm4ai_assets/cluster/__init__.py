"""A Dask cluster: who works there, and what holds for the work of every pass that goes there."""
