"""Assets and checks of immunofluorescence images: the group `images`."""
