"""Everything that knows Dagster, and nothing else: assets, checks, jobs, resources, partitions."""
