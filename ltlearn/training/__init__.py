"""The skorch net, and what steers it: optimizers, schedules, freezing, observers."""
