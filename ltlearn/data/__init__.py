"""From what users pass to batches: inputs, tensors, files, epochs."""
