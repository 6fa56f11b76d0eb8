"""Bytes to bytes, payloads and documents. Pure: no sockets, no clock, no logging, nothing of any provider."""
