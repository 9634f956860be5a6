//! Runners over the public session API: the one file to change when that does.
