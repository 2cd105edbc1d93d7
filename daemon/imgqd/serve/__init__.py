"""The socket: bytes, request, answer, reply."""
