"""Assets and checks of a release as a whole: the group `release`."""
