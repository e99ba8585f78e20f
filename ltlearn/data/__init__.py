"""From what users pass to what networks take."""
