"""LIBSVM: its own text files, written as plain operators in double precision."""
