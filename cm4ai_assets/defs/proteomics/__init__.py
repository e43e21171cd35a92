"""Assets and checks of SEC-MS, AP-MS and their deposits: the group `proteomics`."""
