"""The registry of models, MLflow: registering, the gate, lineage, succession, backups."""
