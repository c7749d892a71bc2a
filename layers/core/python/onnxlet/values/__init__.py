"""Values: the nouns that every plane speaks of, as frozen data, and their canonical bytes.

datatypes, tensors, signature   what goes into a graph and comes out of it
refs                            how a person or a URL names a version
keys                            where everything lies in a store
manifest                        the document that makes a version
aliases                         the documents that route a name to versions, and the history of that
timestamps                      moments as documents write them
"""
