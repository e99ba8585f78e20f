"""Small helpers: optional imports, scikit-learn compatibility, devices, seeds."""
