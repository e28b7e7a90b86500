"""The programs that run inside: assembly sources and their catalogue. No Python."""
