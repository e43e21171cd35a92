"""Perturb-seq: guides, cells, targets and sequencing statistics, from the published files to tables.

Belongs here: what is read from an h5ad and from the tables beside it, and what is wrong with it. Does not belong here:
where bytes are (`storage`), how they come (`archives`), and Dagster (`defs.perturbseq`).
"""
