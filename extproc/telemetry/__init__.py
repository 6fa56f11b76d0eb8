"""Traces and metrics for other systems: what they are called there, how they are counted, and what carries them off."""
