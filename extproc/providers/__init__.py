"""Documents to token usage: one file per API flavour, and the table that says which flavour a request is of. Pure."""
