"""Helpers that several families use and that belong to none of them."""
