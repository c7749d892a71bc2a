"""`make demo`: the life of a model, told by the commands that make it. Hidden from the list of commands."""
