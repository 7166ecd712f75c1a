"""When things happen: the retraining flow, the refresh flow and the `beauty` command."""
