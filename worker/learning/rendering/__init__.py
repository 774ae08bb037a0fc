"""Rendered factory photos: surfaces, boards, defects with masks, captions, photo packs."""

from worker.learning.rendering.kinds import BY_KEY, CATALOGUE, HELD_OUT, KINDS, Kind, Scene
from worker.learning.rendering.pack import PACK_KINDS, render_pack
from worker.learning.rendering.planted import render_planted_pack
from worker.learning.rendering.scenes import Mixture, Render, render, render_surface

__all__ = [
    "BY_KEY",
    "CATALOGUE",
    "HELD_OUT",
    "KINDS",
    "PACK_KINDS",
    "Kind",
    "Mixture",
    "Render",
    "Scene",
    "render",
    "render_pack",
    "render_planted_pack",
    "render_surface",
]
