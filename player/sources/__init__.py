"""Makes pictures for aims. The worker threads live here; no GL."""
