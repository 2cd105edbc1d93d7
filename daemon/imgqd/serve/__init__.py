"""The socket. `door` opens it, `crowd` lets clients in, `newcomers` wait where too many come, `peer` and
`zmtp` take bytes apart, `line` keeps order among a connection's requests, `turns` among processes, `lanes`
think, `job` is one request, `server` ties them together."""
