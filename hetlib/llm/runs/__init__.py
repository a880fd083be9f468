"""Plans, runs of a chapter, reports, estimates."""
