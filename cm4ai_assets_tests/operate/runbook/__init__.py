"""What the runbook says mends what it is for: a test for each section, which does all of it and nothing else."""
