"""Getting data in and out: importers and exporters of the formats other tools read."""
