"""Assets and checks of Perturb-seq and of the archives that hold it: the group `perturbation`."""
