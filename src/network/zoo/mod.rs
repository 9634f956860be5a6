//! Architectures by name, with the parameter names their checkpoints use.

mod efficientnet_lite;

use super::Network;
use crate::{Error, Result};

/// The names [`build`] knows.
pub const NAMES: [&str; 3] = ["efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2"];

/// Describes a network by its name.
///
/// # Errors
/// [`Error::Unsupported`] with the list of names if `name` is none of them.
pub fn build(name: &str) -> Result<Network> {
    match name {
        "efficientnet_lite0" => Ok(efficientnet_lite::build(name, 1.0, 1.0, 224)),
        "efficientnet_lite1" => Ok(efficientnet_lite::build(name, 1.0, 1.1, 240)),
        "efficientnet_lite2" => Ok(efficientnet_lite::build(name, 1.1, 1.2, 260)),
        _ => Err(Error::Unsupported(format!("no architecture is called `{name}`; there is: {}", NAMES.join(", ")))),
    }
}
