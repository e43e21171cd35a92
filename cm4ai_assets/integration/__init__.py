"""What the modalities have in common: one identity for each gene and protein, what covers it, and splits for training.

Belongs here: reconciling identifiers over a bundled mapping, counting over the tables of every modality, and deciding
which fields train, validate and test. Does not belong here: reading published files (the modalities), and Dagster.
"""
