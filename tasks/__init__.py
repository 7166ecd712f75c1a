"""Single actions that Prefect can retry: bring a stage up to date, fetch raw data, register a model."""
