"""Values: the nouns that every plane speaks of, as frozen data, and their canonical bytes.

datatypes, tensors, signature   what goes into a graph and comes out of it
refs                            how a person or a URL names a version
keys                            where everything lies in a store
manifest                        the document that makes a version, and the draft of one
contract, optimization          what a manifest holds of how a version was judged and made smaller
canonical, digests              the bytes of documents, and what pins bytes
aliases                         the documents that route a name to versions, and the history of that
timestamps                      moments as documents write them
tokens                          bearer tokens
tables                          tables and facts, as text and as HTML
"""
