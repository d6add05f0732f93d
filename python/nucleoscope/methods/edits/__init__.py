"""Methods that edit the sequence, and what they share."""
