"""Pretrained networks, each loaded by one name, with its licence."""
