from __future__ import annotations

import json
from math import inf, nan
from typing import Any

import pytest
import yaml

from extproc.config.settings import Settings
from extproc.envoyconfig.choices import Format, Mode, Part, Target, Wish
from extproc.envoyconfig.printing import print_configuration
from extproc.errors import SettingsError


def printed(**wish: Any) -> str:
    return print_configuration(Settings(), Wish(**wish))


@pytest.mark.parametrize("target", Target)
def test_both_forms_say_the_same(target: Target) -> None:
    """The comments apart."""
    documents = list(yaml.safe_load_all(printed(target=target)))
    document = json.loads(printed(target=target, format=Format.JSON))
    assert documents == (document["items"] if document.get("kind") == "List" else [document])


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        (Mode.INSPECT, "# Envoy 1.38 or newer as an AI gateway"),
        (Mode.ZERO_BODY, "# Envoy 1.40 or newer as an AI gateway"),
        (Mode.OBSERVE, "no dynamic metadata"),
        (Mode.FULL_DUPLEX, "Every chunk goes through the sidecar and back"),
    ],
)
def test_a_person_is_told_what_it_is(mode: Mode, said: str) -> None:
    """Which mode, which Envoy, what it means."""
    text = printed(mode=mode)
    assert said in text.partition("\n\n")[0].replace("\n# ", " ")
    assert f"in mode {mode}" in text


@pytest.mark.parametrize(
    ("parts", "fields"),
    [
        ({Part.CLUSTER}, ["clusters"]),
        ({Part.FILTER, Part.ACCESS_LOG}, ["http_filters", "request_body_buffer_limit", "access_log"]),
        ({Part.ALL}, ["http_filters", "request_body_buffer_limit", "access_log", "clusters"]),
        ({Part.BOOTSTRAP}, ["static_resources", "admin", "overload_manager"]),
    ],
)
def test_parts_are_printed_with_their_places(parts: set[Part], fields: list[str]) -> None:
    """What is pasted has to be known where to."""
    text = printed(parts=frozenset(parts))
    assert list(yaml.safe_load(text)) == fields
    if Part.BOOTSTRAP not in parts:
        assert all(f"# {name}: " in text for name in fields)


def test_a_rate_limit_is_a_service_or_an_amount() -> None:
    """As the target has it."""
    assert "ratelimit: checks a request" in printed(rate_limit="limits.test:1")
    kinds = [each["kind"] for each in yaml.safe_load_all(printed(target=Target.ENVOY_GATEWAY, rate_limit="9/day"))]
    assert "BackendTrafficPolicy" in kinds
    assert "limits.test" in printed(target=Target.ISTIO, rate_limit="limits.test:1")


def test_what_else_a_limit_needs_is_said_above_it() -> None:
    """The limits in the service, and the filter that reads tokens."""
    text = printed(rate_limit="limits.test:1", rate_limit_claim="payload.tenant")
    assert "a limit for (tenant=...)" in text
    assert "payload_in_metadata: payload" in text
    assert "(generic_key=tokens)" in printed(parts=frozenset({Part.RATE_LIMIT}), rate_limit="limits.test:1")


def test_an_address_that_was_said_is_not_changed() -> None:
    """What listens on a pod's own address is behind a Service; what was said is where it is."""
    assert "extproc.default.svc.cluster.local" in printed(target=Target.ISTIO)
    assert "127.0.0.1" in printed(target=Target.ISTIO, sidecar="127.0.0.1:1")


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ({"parts": {Part.BOOTSTRAP, Part.FILTER}}, "--part: bootstrap has all the others in it"),
        ({"parts": {Part.RATE_LIMIT}}, "--part rate-limit: say where"),
        ({"parts": {Part.FILTER}, "target": Target.ISTIO}, "--part: parts are of --target envoy"),
        ({"rate_limit": "x:1", "mode": Mode.OBSERVE}, "--rate-limit: in mode observe"),
        ({"rate_limit": "x"}, "--rate-limit: 'x' is no TCP address"),
        ({"rate_limit": "x:1", "rate_limit_header": "X Y"}, "--rate-limit-by: 'X Y' is no header's name"),
        ({"rate_limit": "x:1", "target": Target.ENVOY_GATEWAY}, "--rate-limit: 'x:1' is no limit"),
        ({"rate_limit_header": "x-tenant"}, "--rate-limit-by: there is no limit; set --rate-limit too"),
        ({"rate_limit_claim": "payload.x"}, "--rate-limit-claim: there is no limit; set --rate-limit too"),
        ({"rate_limit": "x:1", "rate_limit_claim": "x"}, "--rate-limit-claim: 'x' is no path"),
        ({"rate_limit": "x:1", "rate_limit_claim": "x."}, "--rate-limit-claim: 'x.' is no path"),
        ({"rate_limit": "x:1", "rate_limit_claim": "p.x", "rate_limit_header": "x"}, "of a header or of a claim"),
        (
            {"rate_limit": "1/day", "rate_limit_claim": "p.x", "target": Target.ENVOY_GATEWAY},
            "Envoy Gateway limits by headers",
        ),
        *(({"message_timeout_seconds": each}, "--message-timeout: use 0.001") for each in (0.0, 1e-9, inf, nan)),
        ({"attach": "Gateway/x"}, "--attach: it is for --target envoy-gateway, istio and kgateway"),
        ({"gateway": "[::]:80", "target": Target.KGATEWAY}, "--gateway: it is for --target envoy; leave it out"),
        ({"sidecar": "x"}, "--sidecar: 'x' is no address"),
        ({"gateway": "x"}, "--gateway: 'x' is no TCP address"),
        ({"envoy_admin": "x"}, "--envoy-admin: 'x' is no TCP address"),
        ({"upstreams": ["extproc=http://x"]}, "names of this configuration's own"),
        ({"upstreams": ["root=http://x", "http://y"]}, "names of this configuration's own"),
        ({"upstreams": ["ftp://x"]}, "--upstream: 'ftp://x' is no http or https URL"),
    ],
)
def test_what_could_not_work_is_refused(wish: dict[str, Any], said: str) -> None:
    """With the flag it is about."""
    with pytest.raises(SettingsError, match=said):
        printed(**wish | {"parts": frozenset(wish.get("parts", ()))})
