"""Methods that read attention, and what they share."""
