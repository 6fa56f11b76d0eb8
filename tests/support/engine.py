"""Which engine the processes of the tests use: the one that EXTPROC_TEST_ENGINE names, else that of most users."""

from __future__ import annotations

import os

ENGINE_ENVIRON = {"EXTPROC_ENGINE": os.environ.get("EXTPROC_TEST_ENGINE", "auto")}

# The same for a sidecar that changes nothing.
ONLY_WATCHING = ENGINE_ENVIRON | {"EXTPROC_USAGE": '{"inject_include_usage": false, "estimate": "off"}'}
