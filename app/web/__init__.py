"""Pages for people: server-rendered, Japanese and English, over the same services as the API."""
