"""Pictures of a guest's screen: glyphs, PNG files, and the terminal."""
