"""Photos to pixels: decode, tone-map, shrink, fingerprint. Pillow and numpy only.

Knows no database, broker, settings or web. Paths and bytes come in, arrays and bytes go out.
"""
