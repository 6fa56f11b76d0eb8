"""Everything embedded: mock providers, the sidecar and a real Envoy, as one command starts and stops them.

Nothing outside this folder imports it but the command line. It starts the sidecar as anyone would, by its command.
"""
