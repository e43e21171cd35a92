"""Dagster's view of nuclei: the asset `if_cells`, its checks and its pages."""
