"""What plates, positions and treatments do to images, by statistics that survive the stretching of each image."""
