"""Reading the registry: what there is, what a ref means, what happened to an alias."""
