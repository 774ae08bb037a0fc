"""Who someone is and what they may do: users, roles, sessions, API tokens, one-time links."""
