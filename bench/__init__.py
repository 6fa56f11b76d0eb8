"""What metering costs: the sidecar, and what it is compared with, measured side by side through a real Envoy."""
