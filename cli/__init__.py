"""The `beauty` command: what a person types, and what they see."""
