"""Labeling time saved and detection gain: pure formulas, and the SQL that feeds them."""
