"""Single actions that Prefect can retry: fetch raw data, update a stage, register a model."""
