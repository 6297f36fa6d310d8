"""Changes the show from outside, only ever by posting Commands."""
