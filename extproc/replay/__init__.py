"""`extproc replay`: captured exchanges played offline through the exchange the sidecar uses, and what came of each."""
