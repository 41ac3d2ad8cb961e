"""A local page and an HTTP API that restore photos, as the commands do."""
