"""Shows pictures: all GL is here, on the main thread only."""
