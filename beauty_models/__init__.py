"""The models and their stages; nothing in this package knows who runs it."""
