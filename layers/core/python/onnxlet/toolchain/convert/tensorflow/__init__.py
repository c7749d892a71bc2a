"""TensorFlow and Keras: `.keras` files and SavedModel directories."""
