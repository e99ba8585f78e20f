"""Training steps, torch alone: which losses and enhancers act on a batch."""
