"""Budgets that this process holds clients to: the answers of Envoy's rate-limit service, from memory."""
