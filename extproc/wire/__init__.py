"""Envoy's ext_proc messages as bytes, and what this project needs of them."""
