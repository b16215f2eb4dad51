"""What can answer, and how it is kept running."""
