"""What becomes of a record: metrics, metadata. One file each; they know the vocabulary and not one another."""
