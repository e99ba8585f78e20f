"""Networks: bodies from inputs to features, and the layers they are made of. Torch alone."""
