"""Pure readers and writers, a module per format, over the records of `app.exchange.records`."""
