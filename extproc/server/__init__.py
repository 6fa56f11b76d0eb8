"""The gRPC side: bytes in, bytes out. Engines carry the bytes, sessions make replies of them."""
