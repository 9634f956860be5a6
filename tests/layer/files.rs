//! Layer files that are wrong, and one-dimensional ones.
