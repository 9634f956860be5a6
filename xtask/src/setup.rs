//! Everything that the tests need besides Rust.

use anyhow::{Result, bail};

use crate::packages::{Package, advice, install};
use crate::step::step;
use crate::toolchain;
use crate::vulkan::Drivers;

const LOADER: Package = Package {
    what: "the Vulkan loader, libvulkan.so.1, through which GPUs are reached",
    debian: "libvulkan1",
    elsewhere: "Ubuntu: libvulkan1; Fedora: vulkan-loader; Arch: vulkan-icd-loader",
};

const LAVAPIPE: Package = Package {
    what: "lavapipe, Mesa's software Vulkan driver (manifest lvp_icd*.json), the first adapter of the tests",
    debian: "mesa-vulkan-drivers",
    elsewhere: "Ubuntu: mesa-vulkan-drivers; Fedora: mesa-vulkan-drivers; Arch: vulkan-swrast",
};

const SWIFTSHADER: Package = Package {
    what: "SwiftShader, a software Vulkan driver (manifest vk_swiftshader_icd.json), the second adapter of the tests",
    debian: "chromium",
    elsewhere: "Fedora, Arch: chromium; Ubuntu: Google Chrome's own package; or name the manifest in VK_DRIVER_FILES",
};

/// Installs what is missing.
pub fn run() -> Result<()> {
    step("set-up: Rust toolchain", toolchain::prepare)?;
    // Elsewhere the tests run on the adapters that the platform has.
    if cfg!(target_os = "linux") {
        step("set-up: Vulkan adapters", || adapters().map(drop))?;
    }
    Ok(())
}

/// The Vulkan drivers, with those that the tests need.
fn adapters() -> Result<Drivers> {
    let mut drivers = Drivers::find();
    if !missing(&drivers).is_empty() {
        install(&missing(&drivers))?;
        drivers = Drivers::find();
    }
    complete(drivers)
}

/// The Vulkan drivers, or an error that says what is missing. Installs nothing.
pub fn installed_drivers() -> Result<Drivers> {
    complete(Drivers::find())
}

fn complete(drivers: Drivers) -> Result<Drivers> {
    match missing(&drivers).as_slice() {
        [] => Ok(drivers),
        missing => bail!("{}", advice(missing)),
    }
}

fn missing(drivers: &Drivers) -> Vec<&'static Package> {
    let needs = [(&drivers.loader, &LOADER), (&drivers.lavapipe, &LAVAPIPE), (&drivers.swiftshader, &SWIFTSHADER)];
    needs.into_iter().filter(|(found, _)| found.is_none()).map(|(_, package)| package).collect()
}
