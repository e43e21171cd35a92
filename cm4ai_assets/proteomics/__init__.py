"""Proteomics: SEC-MS elution profiles, AP-MS interactions and runs. Plain Python, no Dagster, no network."""
