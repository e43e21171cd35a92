"""The sequence archives: clients of ENA and of NCBI, and the files of runs on request."""
