"""Assets over all modalities: coverage and splits."""
