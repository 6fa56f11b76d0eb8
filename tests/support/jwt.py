"""Envoy's JWT filter with a key of the test's own: the principal of a request, as gateways write it to metadata."""

from __future__ import annotations

import base64
import json
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.hashes import SHA256

from extproc.demo.bootstrap import Bootstrap

NAMESPACE = "envoy.filters.http.jwt_authn"
HEADER = "x-principal"

_EXT_PROC = "envoy.filters.http.ext_proc"
_TYPE = "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication"
_NUMBER_BYTES = 32  # of a number of P-256


class Issuer:
    """Signs principals, and has Envoy put them into metadata as `principal`, before ext_proc, and forward them."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())

    def sign(self, claims: dict[str, Any]) -> str:
        """Return a token."""
        parts = [_base64(json.dumps(part).encode()) for part in ({"alg": "ES256", "typ": "JWT"}, claims)]
        signed = self._key.sign(".".join(parts).encode(), ec.ECDSA(SHA256()))
        signature = b"".join(number.to_bytes(_NUMBER_BYTES, "big") for number in utils.decode_dss_signature(signed))
        return ".".join([*parts, _base64(signature)])

    @property
    def keys(self) -> str:
        """What tokens are verified by, as a document of its kind (JWKS)."""
        numbers = self._key.public_key().public_numbers()
        x, y = (_base64(number.to_bytes(_NUMBER_BYTES, "big")) for number in (numbers.x, numbers.y))
        return json.dumps({"keys": [{"kty": "EC", "crv": "P-256", "alg": "ES256", "x": x, "y": y}]})

    def configure(self, bootstrap: Bootstrap) -> None:
        """Let Envoy verify tokens in a header, and go on where there is none."""
        provider = {
            "from_headers": [{"name": HEADER}],
            "payload_in_metadata": "principal",
            "local_jwks": {"inline_string": self.keys},
        }
        requirement = {"requires_any": {"requirements": [{"provider_name": "test"}, {"allow_missing": {}}]}}
        config = {
            "@type": _TYPE,
            "providers": {"test": provider},
            "rules": [{"match": {"prefix": "/"}, "requires": requirement}],
        }
        manager = bootstrap.listener["filter_chains"][0]["filters"][0]["typed_config"]
        names = [each["name"] for each in manager["http_filters"]]
        manager["http_filters"].insert(names.index(_EXT_PROC), {"name": NAMESPACE, "typed_config": config})
        options = bootstrap.ext_proc["metadata_options"]
        options["forwarding_namespaces"] = {"untyped": [NAMESPACE]}


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
