"""Counting the tokens of texts that no provider has counted."""
