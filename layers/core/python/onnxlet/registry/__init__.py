"""The registry: names to versions. Every document in it is written conditionally, so that any number of writers may.

registry        `Registry`, which puts the parts together over one store
reading         what there is: versions, aliases, what a ref means, histories, what answers over HTTP
writing         what changes it: publish, promote, roll back, delete, clear up
rollback_stack  what an alias may roll back to, as a function of its moves
parallel        many small requests to the store at once

This file imports nothing: the data plane loads `reading` alone.
"""
