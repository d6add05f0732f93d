"""What users call: one method, one file."""
