"""The lifecycle of a model, in Python: what the command does, with the objects in hand. `import onnxlet` shows it.

workspace      the store that things are done in: opened, and in whose name
registry       what a store holds: listed, shown, compared
loading        a version in this process, which predicts as the model that it was made of
results        what the functions return: values that terminals and notebooks show
summaries      what is said of versions, contracts and moves; tables says it as text and as HTML
"""
