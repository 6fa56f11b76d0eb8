"""The access log, one object of JSON for each exchange.

Owns: its fields. With them comes all that the sidecar wrote, where Envoy keeps it.
"""

from __future__ import annotations

from envoy_data_plane.envoy.config.accesslog.v3 import AccessLog
from envoy_data_plane.envoy.config.core.v3 import SubstitutionFormatString
from envoy_data_plane.envoy.extensions.access_loggers.stream.v3 import StdoutAccessLog
from envoy_data_plane.google.protobuf import Struct

from extproc.envoyconfig.messages import pack
from extproc.envoyconfig.plan import Plan
from extproc.semconv import KEY_HITS_ADDEND, RATELIMIT_NAMESPACE

STDOUT = "envoy.access_loggers.stdout"

# Where Envoy keeps the tokens a rate limit is charged, as its format strings have it.
HITS_ADDEND = f"%DYNAMIC_METADATA({RATELIMIT_NAMESPACE}:{KEY_HITS_ADDEND})%"

_FIELDS = {
    "time": "%START_TIME%",
    "request_id": "%REQ(X-REQUEST-ID)%",
    "method": "%REQ(:METHOD)%",
    # Without its query, in which Gemini's clients may send their key.
    "path": "%PATH(NQ)%",
    "route": "%ROUTE_NAME%",
    "status": "%RESPONSE_CODE%",
    "flags": "%RESPONSE_FLAGS%",
    "duration_ms": "%DURATION%",
}


def build_fields(plan: Plan) -> dict[str, str]:
    """Return the fields and what Envoy puts into each."""
    if not plan.processing.keeps_metadata:
        return dict(_FIELDS)
    return _FIELDS | {"ai": f"%DYNAMIC_METADATA({plan.namespace})%", "hits_addend": HITS_ADDEND}


def build_access_log(plan: Plan) -> AccessLog:
    """Return the log."""
    log_format = SubstitutionFormatString(json_format=Struct.from_dict(build_fields(plan)))
    return AccessLog(name=STDOUT, typed_config=pack(StdoutAccessLog(log_format=log_format)))
