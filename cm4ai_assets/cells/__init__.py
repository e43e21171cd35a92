"""Nuclei of fields of view: found in the blue plane of the tensor, measured in every channel, and cropped on demand."""
