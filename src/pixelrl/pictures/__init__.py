"""Picture files: between bytes and arrays. Knows no policy."""
