"""Inspection tasks: their settings, label taxonomy, rollout stage and counters."""
