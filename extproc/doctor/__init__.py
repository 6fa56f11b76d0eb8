"""What is wrong between a running Envoy and the sidecar, found in what both say of themselves."""
