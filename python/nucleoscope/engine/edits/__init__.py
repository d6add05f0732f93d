"""A plan and tensors -> the change of every target by every edit, held against the model's own answers."""
