"""HTTP only: wire types, authentication, server-sent events, one error map."""
