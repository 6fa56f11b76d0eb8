"""Who reports: the attributes of the resource that all spans and metrics of this process belong to.

Owns: these attributes. Nothing is detected: detectors tell command lines, in which some hand over keys.

https://opentelemetry.io/docs/specs/semconv/resource/service/
"""

from __future__ import annotations

import uuid
from functools import lru_cache

from extproc import __version__
from extproc.config.telemetry import Telemetry

_DEFAULT_SERVICE_NAME = Telemetry.model_fields["service_name"].default


@lru_cache
def _instance_id() -> str:
    return str(uuid.uuid4())


def build_resource_attributes(settings: Telemetry) -> dict[str, str]:
    """Return the attributes; what is configured by name goes before what stands in `resource_attributes`."""
    attributes = {
        "service.name": settings.service_name,
        "service.version": settings.service_version or __version__,
        "service.instance.id": _instance_id(),
        "telemetry.sdk.name": "extproc.telemetry",  # what makes and sends them is no SDK of OpenTelemetry's
        "telemetry.sdk.language": "python",
        "telemetry.sdk.version": __version__,
    } | settings.resource_attributes
    if settings.service_name != _DEFAULT_SERVICE_NAME:
        attributes["service.name"] = settings.service_name
    if settings.service_version is not None:
        attributes["service.version"] = settings.service_version
    if settings.deploy_env is not None:
        attributes["deployment.environment.name"] = settings.deploy_env
        attributes["deployment.environment"] = settings.deploy_env  # what it was called up to 1.27
    return attributes
