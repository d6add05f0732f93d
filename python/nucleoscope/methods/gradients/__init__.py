"""Methods that differentiate the model, and what they share."""
