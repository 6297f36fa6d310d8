"""GLSL as package data, one look or stage a file; loaded by player.screen.program and tools.film_draw."""
