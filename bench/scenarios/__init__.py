"""What the matrix does not show: many streams at once, the start, scrapes, workers. One file each."""
