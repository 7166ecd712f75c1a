"""The bridge to DVC and to processes: which stages are stale, and running one as a child."""
