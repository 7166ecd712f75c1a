"""The bridge to DVC and to processes: whether a stage is stale, and running it as a child that cannot outlive us."""
