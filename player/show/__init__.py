"""What belongs at film time t: pure data and functions. No threads, no devices, no GL."""
