"""Assets and checks of crates, datasheets and usage: the group `metadata`."""
