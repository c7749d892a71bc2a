"""The lifecycle of a model, in Python: what the command does, with the objects in hand. `import onnxlet` shows it.

shipping             the whole way of a model; toolchain and releasing have its steps one by one
loading              a version in this process, which predicts as the model that it was made of
registry             what a store holds: listed, shown, compared
scorer               a version where an engine has its rows, sent to its workers
options              what callers say of a conversion, an optimization and a contract
attempt              one publish, and how far it got if it ends early
workspace            the store that things are done in, and in whose name
results              what the functions return: values that terminals and notebooks show
summaries            what is said of versions, contracts and moves; as text and as HTML
progress             what is being done, and bars
"""
