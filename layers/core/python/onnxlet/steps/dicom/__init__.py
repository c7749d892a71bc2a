"""DICOM: single grayscale frames, uncompressed or in RLE, as the levels that a viewer shows.

options     what a version declares: which window
elements    walks the elements of a file without reading what is in them
header      what the pixels are and how they are shown, checked before a pixel is decoded
levels      pixels to levels, by a table of all values that a pixel may have

The reader is our own and small: a file is untrusted, and a general library reads whatever is in it before it can be
asked how large the picture is. No import and no package is needed for it besides numpy and Pillow.
"""
