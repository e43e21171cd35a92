"""The release's own metadata: RO-Crates, provenance graphs, datasheets, and where they contradict the archive.

Plain Python, no Dagster. A crate is a claim, never a proof: where it disagrees with the archive, the archive wins.
"""
