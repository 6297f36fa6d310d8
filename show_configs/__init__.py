"""Shows as TOML; a package only so that an installed cineml finds its files."""
