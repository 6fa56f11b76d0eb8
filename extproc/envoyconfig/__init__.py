"""Envoy configuration that fits our settings: built as Envoy's own typed messages, printed for whoever applies it."""
