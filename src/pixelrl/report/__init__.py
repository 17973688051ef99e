"""Everything that draws a trajectory: the report page, the strip, animations."""
