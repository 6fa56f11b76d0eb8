"""What exchanges cost: prices, and the arithmetic."""
