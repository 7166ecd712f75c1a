"""When things happen: the retraining flow, the refresh flow, and their Prefect plumbing."""
