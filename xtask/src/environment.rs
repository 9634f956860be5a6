//! The environment in which tests run: every adapter visible, nothing taken from the user's preferences.

use std::ffi::OsString;

use anyhow::{Context, Result};

use crate::setup;

/// Variables of the program that must not reach the tests.
pub const REMOVED: [&str; 1] = ["DOCONV_ADAPTER"];

/// Variables to set.
pub fn variables() -> Result<Vec<(&'static str, OsString)>> {
    if !cfg!(target_os = "linux") {
        return Ok(vec![]);
    }
    let drivers = setup::installed_drivers()?;
    let manifests = std::env::join_paths(drivers.manifests()).context("a driver manifest has a colon in its path")?;
    // Loaders before 1.3.207 know only the older name.
    let mut variables = vec![("VK_DRIVER_FILES", manifests.clone()), ("VK_ICD_FILENAMES", manifests)];
    if std::env::var_os("XDG_RUNTIME_DIR").is_none() {
        variables.push(("XDG_RUNTIME_DIR", runtime_folder()?));
    }
    Ok(variables)
}

/// Drivers complain where there is no such folder.
fn runtime_folder() -> Result<OsString> {
    let folder = crate::root().join("target/xdg-runtime");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700))
            .with_context(|| format!("cannot close {} to others", folder.display()))?;
    }
    Ok(folder.into())
}

/// Prints the environment for a shell.
pub fn print() -> Result<()> {
    let variables = variables()?;
    for name in REMOVED {
        println!("unset {name}");
    }
    for (name, value) in variables {
        println!("export {name}={}", quoted(&value.to_string_lossy()));
    }
    Ok(())
}

/// Between single quotes nothing but the quote itself is special to a shell.
fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_survive_the_shell() {
        let value = "a b'c$d";
        let echo = format!("printf %s {}", quoted(value));
        let output = std::process::Command::new("sh").args(["-c", &echo]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), value);
    }
}
