"""The audit trail as people read it: who did what, when, to what, and whether it is whole."""
