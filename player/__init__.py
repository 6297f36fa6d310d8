"""Plays a show: a function of film time, drawn through OpenGL, locked to the film's cuts and soundtrack. No torch."""
