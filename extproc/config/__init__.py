"""Settings: one schema, from flags, environment and file."""
