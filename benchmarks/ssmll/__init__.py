"""The comparison of methods on shares of labels: `python -m benchmarks.ssmll`."""
