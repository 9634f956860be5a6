//! The library as WebAssembly modules, and the JavaScript and TypeScript that belong to them.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use wasm_bindgen_cli_support::Bindgen;
use xtask::step::{cargo, run, step};
use xtask::toolchain::WASM;

use crate::npm;

/// SIMD, which every browser with WebGPU has; and nothing inlined, unrolled at run time or vectorised but what asks for it.
/// The CPU path's inner loops do ask, and lose nothing: 49 ms for a picture against 53 ms in Node.js, with a module that is
/// a tenth smaller. That was with a threshold of 30 for what hints at being inlined; with 20 it has not been timed.
const RUSTFLAGS: [&str; 4] = [
    "-Ctarget-feature=+simd128",
    "-Cllvm-args=-inline-threshold=5 -inlinehint-threshold=20 -unroll-runtime=false",
    "-Cno-vectorize-loops",
    "-Cno-vectorize-slp",
];
/// What stands between flags in the environment.
const SEPARATOR: &str = "\x1f";

/// A WebAssembly module made of the library.
pub struct Module {
    /// What its files are called.
    name: &'static str,
    /// The feature that exports its functions; what they do not reach is not in it.
    feature: &'static str,
}

/// What the page begins with; what is fetched when an ONNX file comes, because the code for that is a fifth of all; and what
/// is fetched when somebody wants to teach.
pub const MODULES: [Module; 3] = [
    Module { name: "doconv", feature: "web" },
    Module { name: "doconv_onnx", feature: "web-onnx" },
    Module { name: "doconv_teach", feature: "web-teach" },
];

impl Module {
    /// The bindings, their types, and the module itself.
    pub fn files(&self) -> [String; 3] {
        [format!("{}.js", self.name), format!("{}.d.ts", self.name), self.wasm()]
    }

    fn wasm(&self) -> String {
        format!("{}_bg.wasm", self.name)
    }
}

/// Builds them, and says in which folder they lie.
pub fn build(release: bool) -> Result<PathBuf> {
    let profile = if release { "web" } else { "web-dev" };
    let built = xtask::target().join(WASM).join(profile);
    let folder = built.join("bindings");
    if release {
        npm::install()?;
    } else {
        eprintln!("==> wasm-opt: left out without --release");
    }
    for module in &MODULES {
        step(&format!("cargo build, wasm32, profile {profile}, {}", module.name), || compile(profile, module))?;
        step("wasm-bindgen", || bind(&built.join("doconv.wasm"), &folder, module, release))?;
        if release {
            step("wasm-opt", || optimise(&folder.join(module.wasm())))?;
        }
    }
    Ok(folder)
}

/// The crate type is given here because a shared library is of use nowhere but in the browser.
fn compile(profile: &str, module: &Module) -> Result<()> {
    let what = ["rustc", "--package", "doconv", "--lib", "--no-default-features", "--features", module.feature];
    let how = ["--target", WASM, "--profile", profile, "--crate-type", "cdylib"];
    // This variable outranks every other place for flags, and with `--target` it spares what runs here.
    run(cargo(&[&what[..], &how].concat()).env("CARGO_ENCODED_RUSTFLAGS", RUSTFLAGS.join(SEPARATOR)))
}

/// Its version is that of the macros in the module: `wasm-bindgen-shared` can be in a lock file only once.
fn bind(wasm: &Path, folder: &Path, module: &Module, release: bool) -> Result<()> {
    let mut bindgen = Bindgen::new();
    bindgen.input_path(wasm).out_name(module.name).web(true)?.typescript(true);
    // `init()` without arguments finds the module beside the script.
    bindgen.omit_default_module_path(false);
    bindgen.remove_name_section(release).remove_producers_section(release);
    bindgen.generate(folder).with_context(|| format!("wasm-bindgen fails on {}", wasm.display()))
}

/// The module itself says which instructions may be used. More than this makes it no smaller, and code with SIMD slower:
/// 72 ms for a picture became 116 ms with `-Os`, `-O2` and `-O3` alike (binaryen 132, Node.js 20).
fn optimise(wasm: &Path) -> Result<()> {
    let smaller = wasm.with_extension("opt");
    run(npm::program("wasm-opt", &["-O1", "--rse", "--vacuum"])?.arg(wasm).arg("-o").arg(&smaller))?;
    std::fs::rename(&smaller, wasm).with_context(|| format!("cannot replace {}", wasm.display()))
}
