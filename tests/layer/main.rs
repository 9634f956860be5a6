//! Single layers: recorded results, random cases and broken files, forward and backward, on every adapter.

#[path = "../common/mod.rs"]
mod common;

mod files;
mod gradients;
mod properties;
mod random;
mod recorded;
