"""Large files: scored in sections by many invocations at once, as the state machine in infra/ says.

work       the work area of a source: what all steps share, written once
tables     an order's file, opened for its model
opening    Plan, first: who scores, and what is to be scanned
scanning   Plan: stretches scanned apart, and sections planned
sections   Score: a section scored, as far as time allows
uploading  how parts become one object by a multipart upload: what is copied, what is sent
joining    parts of the work area joined in the store
concluding an outcome put in its place
finishing  Finish: sections that are missing, or output, errors and book
diverting  which files are large, and the state machine started with them
steps      the functions' events, by step
"""
