from __future__ import annotations

import json

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from extproc.telemetry.otlp_json import encode_json


def test_metrics_are_written_as_otlp_has_it() -> None:
    """With the ids of exemplars in hex, enums as numbers and 64 bits as text."""
    message = ExportMetricsServiceRequest()
    metric = message.resource_metrics.add().scope_metrics.add().metrics.add(name="m", unit="s")
    metric.histogram.aggregation_temporality = 2  # type: ignore[assignment]  # cumulative
    point = metric.histogram.data_points.add(count=3, sum=0.5, bucket_counts=[1, 2], explicit_bounds=[0.1])
    point.exemplars.add(as_double=0.25, trace_id=bytes(range(16)), span_id=bytes(range(8)))
    [said] = json.loads(encode_json(message))["resourceMetrics"][0]["scopeMetrics"][0]["metrics"]
    assert said == {
        "name": "m",
        "unit": "s",
        "histogram": {
            "aggregationTemporality": 2,
            "dataPoints": [
                {
                    "count": "3",
                    "sum": 0.5,
                    "bucketCounts": ["1", "2"],
                    "explicitBounds": [0.1],
                    "exemplars": [
                        {
                            "asDouble": 0.25,
                            "traceId": "000102030405060708090a0b0c0d0e0f",
                            "spanId": "0001020304050607",
                        }
                    ],
                }
            ],
        },
    }
