"""What rate limits are charged for an exchange: amounts made of its record, under the keys that a deployment names."""
