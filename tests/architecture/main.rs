//! No circles of imports between the files of `src/`.

mod imports;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use imports::{circles, edges};

/// The text of every Rust file in `folder`, by its path from the repository's root.
fn read(root: &Path, folder: &str, files: &mut BTreeMap<PathBuf, String>) {
    for entry in std::fs::read_dir(root.join(folder)).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let path = format!("{folder}/{name}");
        if root.join(&path).is_dir() {
            read(root, &path, files);
        } else if name.ends_with(".rs") {
            files.insert(path.clone().into(), std::fs::read_to_string(root.join(path)).unwrap());
        }
    }
}

#[test]
fn files_do_not_import_each_other_in_circles() {
    let mut files = BTreeMap::new();
    read(Path::new(env!("CARGO_MANIFEST_DIR")), "src", &mut files);
    let edges = edges(&files, &["src/lib.rs", "src/main.rs"]);
    assert!(edges.len() > 500, "only {} imports were found", edges.len());
    let circles = circles(&edges);
    assert!(circles.is_empty(), "{} circles of imports:\n{}", circles.len(), circles.join("\n"));
}

/// The circles of a crate that is given as paths and texts.
fn circles_of(files: &[(&str, &str)]) -> Vec<String> {
    let files = files.iter().map(|&(path, text)| (path.into(), text.into())).collect();
    circles(&edges(&files, &["src/lib.rs"]))
}

#[test]
fn a_facade_ties_no_circle() {
    let circles = circles_of(&[
        ("src/lib.rs", "mod shapes; pub use shapes::Square;"),
        ("src/shapes/mod.rs", "mod area; mod square; pub use area::area; pub use square::Square; use area::Unit;"),
        (
            "src/shapes/area.rs",
            "use super::Square; use crate::shapes::square; pub struct Unit;
            pub fn area(square: &Square) -> f64 { square::side(square) }",
        ),
        ("src/shapes/square.rs", "pub struct Square(f64); pub fn side(square: &Square) -> f64 { square.0 }"),
    ]);
    assert_eq!(circles, [""; 0]);
}

#[test]
fn a_module_that_uses_its_child_and_is_used_by_it_is_a_circle() {
    let circles = circles_of(&[
        ("src/lib.rs", "mod plan;"),
        ("src/plan/mod.rs", "mod lower; pub struct Plan; impl Plan { fn new() -> Self { lower::lower() } }"),
        ("src/plan/lower.rs", "use super::Plan; pub fn lower() -> Plan { Plan }"),
    ]);
    assert_eq!(circles, ["src/plan/lower.rs (Plan) -> src/plan/mod.rs (lower) -> src/plan/lower.rs"]);
}

#[test]
fn every_way_to_name_an_item_is_followed() {
    // From `a` to `b` in another way each time; `b` uses `a`.
    let ways = [
        "use crate::b::B;",
        "use super::b::{self as other, B as C};",
        "use crate::{b::{B}};",
        "use crate::B;",
        "use crate::facade::*; fn f(_: B) {}",
        "use crate::facade::renamed::Renamed;",
        "fn f() { crate::b::make(); }",
        "use crate::b; fn f() -> b::B { todo!() }",
        "use crate::b; fn f() { println!(\"{}\", b::NUMBER); }",
        "fn f() { use super::facade::B; }",
        "mod inner { use super::super::b::B; }",
        "impl crate::b::Trait for A {}",
        "use crate::b::Kind::Variant;",
    ];
    for way in ways {
        let a = format!("pub struct A; {way}");
        let circles = circles_of(&[
            ("src/lib.rs", "mod a; mod b; mod facade; pub use b::B;"),
            ("src/facade.rs", "pub mod renamed; pub use crate::b::*;"),
            ("src/facade/renamed.rs", "pub use super::super::B as Renamed;"),
            ("src/a.rs", &a),
            (
                "src/b.rs",
                "use crate::a::A; pub struct B; pub trait Trait {} pub enum Kind { Variant }
                pub const NUMBER: u8 = 1; pub fn make() {}",
            ),
        ]);
        assert_eq!(circles.len(), 1, "{way}: {circles:?}");
    }
}

#[test]
fn tests_and_local_names_tie_no_circle() {
    let circles = circles_of(&[
        ("src/lib.rs", "mod a; mod b;"),
        (
            "src/a.rs",
            "pub fn width() {} fn f(b: u8) -> u8 { b } #[cfg(test)] mod tests { use crate::b::B; }
            #[cfg(test)] use crate::b::B;",
        ),
        ("src/b.rs", "use crate::a::width; pub struct B; mod a { pub struct Inner; } fn f() -> a::Inner { todo!() }"),
    ]);
    assert_eq!(circles, [""; 0]);
}

#[test]
fn the_shortest_circle_is_shown_and_both_files_of_a_path_attribute_are_read() {
    let circles = circles_of(&[
        ("src/lib.rs", "mod a; mod b; #[cfg_attr(target_arch = \"wasm32\", path = \"c_wasm.rs\")] mod c;"),
        ("src/a.rs", "use crate::b::B; pub struct A;"),
        ("src/b.rs", "use crate::c::C; pub struct B;"),
        ("src/c.rs", "pub struct C;"),
        ("src/c_wasm.rs", "use crate::{a::A, b::B}; pub struct C(A);"),
    ]);
    assert_eq!(circles, ["src/b.rs (C) -> src/c_wasm.rs (B) -> src/b.rs; also in it: src/a.rs"]);
}
