//! Single layers: recorded results, random cases and broken files, forward and backward, on every adapter.

mod adapters;
mod files;
mod gradients;
mod properties;
mod random;
mod recorded;
