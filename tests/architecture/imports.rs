//! Which file of a crate uses which items of which other file.
//!
//! Paths are resolved as the compiler does it, without knowing any other crate: a path that leads nowhere in the files is
//! another crate's, or a local name's. What is only for tests (`#[cfg(test)]`) is left out.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, Expr, ExprLit, ForeignItem, Item, ItemMod, ItemUse, Lit, Meta, UseTree, Visibility};

/// The names by which one file uses items of another.
pub type Edges = BTreeMap<(PathBuf, PathBuf), BTreeSet<String>>;

type ModuleId = usize;

/// One module: a file, or an inline module in one. With `#[cfg_attr(…, path = "…")]` two files can be one module.
#[derive(Default)]
struct Module {
    parent: Option<ModuleId>,
    root: ModuleId,
    children: HashMap<String, ModuleId>,
    /// The files that define an item of this name.
    items: HashMap<String, BTreeSet<PathBuf>>,
    /// `use` declarations by the name that they bring in.
    uses: HashMap<String, Vec<Vec<String>>>,
    globs: Vec<Vec<String>>,
    /// Where its code is: file and items.
    code: Vec<(PathBuf, Vec<Item>)>,
}

/// What a path leads to.
#[derive(Default)]
struct Found {
    files: BTreeSet<PathBuf>,
    modules: Vec<ModuleId>,
}

struct Crates<'a> {
    files: &'a BTreeMap<PathBuf, String>,
    modules: Vec<Module>,
}

/// Every use of an item of one file in another, in the crates with these roots.
pub fn edges(files: &BTreeMap<PathBuf, String>, roots: &[&str]) -> Edges {
    let mut crates = Crates { files, modules: vec![] };
    for root in roots {
        let id = crates.modules.len();
        crates.modules.push(Module { root: id, ..Module::default() });
        crates.load(id, Path::new(root));
    }
    let mut edges = Edges::new();
    for (module, Module { code, .. }) in crates.modules.iter().enumerate() {
        for (file, items) in code {
            let mut visitor = Paths { crates: &crates, module, file, edges: &mut edges };
            items.iter().for_each(|item| visitor.visit_item(item));
        }
    }
    edges
}

impl Crates<'_> {
    fn load(&mut self, module: ModuleId, path: &Path) {
        let text = self.files.get(path).unwrap_or_else(|| panic!("there is no {}", path.display()));
        let file = syn::parse_file(text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let stem = path.file_stem().unwrap();
        let folder = match stem.to_str() {
            Some("mod" | "lib" | "main") => path.parent().unwrap().to_owned(),
            _ => path.parent().unwrap().join(stem),
        };
        self.add(module, path, &folder, file.items);
    }

    /// Enters the items of a file or of an inline module.
    fn add(&mut self, module: ModuleId, path: &Path, folder: &Path, items: Vec<Item>) {
        let items: Vec<Item> = items.into_iter().filter(|item| !is_for_tests(attributes(item))).collect();
        for item in &items {
            match item {
                Item::Mod(item) => self.add_module(module, path, folder, item),
                Item::Use(item) => self.add_use(module, &item.tree),
                Item::ForeignMod(foreign) => {
                    for item in &foreign.items {
                        let name = match item {
                            ForeignItem::Fn(item) => &item.sig.ident,
                            ForeignItem::Static(item) => &item.ident,
                            ForeignItem::Type(item) => &item.ident,
                            _ => continue,
                        };
                        self.add_item(module, path, name);
                    }
                }
                Item::Const(item) => self.add_item(module, path, &item.ident),
                Item::Enum(item) => self.add_item(module, path, &item.ident),
                Item::Fn(item) => self.add_item(module, path, &item.sig.ident),
                Item::Static(item) => self.add_item(module, path, &item.ident),
                Item::Struct(item) => self.add_item(module, path, &item.ident),
                Item::Trait(item) => self.add_item(module, path, &item.ident),
                Item::TraitAlias(item) => self.add_item(module, path, &item.ident),
                Item::Type(item) => self.add_item(module, path, &item.ident),
                Item::Union(item) => self.add_item(module, path, &item.ident),
                _ => {}
            }
        }
        self.modules[module].code.push((path.to_owned(), items));
    }

    fn add_item(&mut self, module: ModuleId, path: &Path, name: &syn::Ident) {
        self.modules[module].items.entry(name.to_string()).or_default().insert(path.to_owned());
    }

    fn add_module(&mut self, parent: ModuleId, path: &Path, folder: &Path, item: &ItemMod) {
        let name = item.ident.to_string();
        let root = self.modules[parent].root;
        let id = self.modules.len();
        self.modules.push(Module { parent: Some(parent), root, ..Module::default() });
        // A module may be declared twice, under two conditions.
        let id = *self.modules[parent].children.entry(name.clone()).or_insert(id);
        if let Some((_, items)) = &item.content {
            return self.add(id, path, &folder.join(&name), items.clone());
        }
        let usual = [folder.join(format!("{name}.rs")), folder.join(&name).join("mod.rs")];
        let others = item.attrs.iter().filter_map(path_value).map(|value| path.parent().unwrap().join(value));
        let others: Vec<PathBuf> = others.collect();
        let conditional = others.is_empty() || item.attrs.iter().all(|attribute| !attribute.path().is_ident("path"));
        let files = usual.into_iter().filter(|path| conditional && self.files.contains_key(path)).chain(others);
        for file in files.collect::<Vec<_>>() {
            self.load(id, &file);
        }
    }

    fn add_use(&mut self, module: ModuleId, tree: &UseTree) {
        for (name, path) in use_paths(&[], tree) {
            let module = &mut self.modules[module];
            match name {
                Some(name) => module.uses.entry(name).or_default().push(path),
                None => module.globs.push(path),
            }
        }
    }

    /// What a path leads to, seen from a module. `on_the_way` are the imports that are being followed.
    fn resolve(&self, from: ModuleId, path: &[String], on_the_way: &mut HashSet<(ModuleId, String)>) -> Found {
        let mut path = path;
        let mut modules = vec![from];
        while let Some((first, rest)) = path.split_first() {
            let Module { parent, root, .. } = &self.modules[modules[0]];
            modules = match first.as_str() {
                "crate" => vec![*root],
                "self" => modules,
                "super" => parent.iter().copied().collect(),
                _ => break,
            };
            path = rest;
            if modules.is_empty() {
                return Found::default();
            }
        }
        let mut found = Found { modules, ..Found::default() };
        for name in path {
            let mut next = Found { files: std::mem::take(&mut found.files), modules: vec![] };
            for &module in &found.modules {
                let named = self.named(module, name, on_the_way);
                next.files.extend(named.files);
                next.modules.extend(named.modules);
            }
            found = next;
        }
        found
    }

    fn named(&self, module: ModuleId, name: &str, on_the_way: &mut HashSet<(ModuleId, String)>) -> Found {
        let mut found = Found::default();
        if !on_the_way.insert((module, name.into())) {
            return found;
        }
        let Module { items, children, uses, globs, .. } = &self.modules[module];
        found.files.extend(items.get(name).into_iter().flatten().cloned());
        found.modules.extend(children.get(name));
        let mut targets: Vec<Found> = vec![];
        for path in uses.get(name).into_iter().flatten() {
            targets.push(self.resolve(module, path, on_the_way));
        }
        if found.files.is_empty() && found.modules.is_empty() && targets.is_empty() {
            for glob in globs {
                for inner in self.resolve(module, glob, on_the_way).modules {
                    targets.push(self.named(inner, name, on_the_way));
                }
            }
        }
        for target in targets {
            found.files.extend(target.files);
            found.modules.extend(target.modules);
        }
        on_the_way.remove(&(module, name.into()));
        found
    }
}

/// The paths of a `use` declaration with the name that each brings in; `None` for `*`.
fn use_paths(prefix: &[String], tree: &UseTree) -> Vec<(Option<String>, Vec<String>)> {
    let with = |name: &syn::Ident| [prefix, &[name.to_string()]].concat();
    match tree {
        UseTree::Path(path) => use_paths(&with(&path.ident), &path.tree),
        UseTree::Name(name) if name.ident == "self" => vec![(prefix.last().cloned(), prefix.to_vec())],
        UseTree::Name(name) => vec![(Some(name.ident.to_string()), with(&name.ident))],
        UseTree::Rename(name) if name.ident == "self" => vec![(Some(name.rename.to_string()), prefix.to_vec())],
        UseTree::Rename(name) => vec![(Some(name.rename.to_string()), with(&name.ident))],
        UseTree::Glob(_) => vec![(None, prefix.to_vec())],
        UseTree::Group(group) => group.items.iter().flat_map(|tree| use_paths(prefix, tree)).collect(),
    }
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    let is_test = |attribute: &Attribute| match &attribute.meta {
        Meta::List(list) => list.path.is_ident("cfg") && list.tokens.to_string() == "test",
        _ => false,
    };
    attributes.iter().any(is_test)
}

/// What `#[path = "…"]` says, also within `cfg_attr`.
fn path_value(attribute: &Attribute) -> Option<String> {
    match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("path") => match &pair.value {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value()),
            _ => None,
        },
        Meta::List(list) if list.path.is_ident("cfg_attr") => {
            let tokens: Vec<TokenTree> = list.tokens.clone().into_iter().collect();
            let at = tokens.iter().position(|token| matches!(token, TokenTree::Ident(name) if name == "path"))?;
            Some(tokens.get(at + 2)?.to_string().trim_matches('"').to_owned())
        }
        _ => None,
    }
}

struct Paths<'a> {
    crates: &'a Crates<'a>,
    module: ModuleId,
    file: &'a Path,
    edges: &'a mut Edges,
}

impl Paths<'_> {
    fn add(&mut self, path: &[String]) {
        for file in self.crates.resolve(self.module, path, &mut HashSet::new()).files {
            // The files of one module are alternatives.
            if self.crates.modules[self.module].code.iter().all(|(own, _)| *own != file) {
                let names = self.edges.entry((self.file.to_owned(), file)).or_default();
                names.insert(path.last().unwrap().clone());
            }
        }
    }
}

impl<'ast> Visit<'ast> for Paths<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_for_tests(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    /// Inline modules are modules of their own.
    fn visit_item_mod(&mut self, _: &'ast ItemMod) {}

    /// What is only passed on is not used here.
    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        if matches!(item.vis, Visibility::Inherited) {
            for (_, path) in use_paths(&[], &item.tree) {
                self.add(&path);
            }
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if path.leading_colon.is_none() {
            self.add(&names);
        }
        visit::visit_path(self, path);
    }

    /// What a macro is given is only looked at for paths.
    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        visit_tokens(self, call.tokens.clone());
        visit::visit_macro(self, call);
    }
}

fn visit_tokens(paths: &mut Paths, tokens: TokenStream) {
    let mut names: Vec<String> = vec![];
    let mut colons = 0;
    for token in tokens {
        match token {
            TokenTree::Ident(name) => {
                if colons != 2 {
                    end_path(paths, &mut names);
                }
                names.push(name.to_string());
                colons = 0;
            }
            TokenTree::Punct(punct) if punct.as_char() == ':' && colons < 2 => colons += 1,
            TokenTree::Group(group) => {
                end_path(paths, &mut names);
                colons = 0;
                visit_tokens(paths, group.stream());
            }
            _ => {
                end_path(paths, &mut names);
                colons = 0;
            }
        }
    }
    end_path(paths, &mut names);
}

fn end_path(paths: &mut Paths, names: &mut Vec<String>) {
    if !names.is_empty() {
        paths.add(names);
        names.clear();
    }
}

/// The circles among files, each with the shortest way round it and the names that tie it.
pub fn circles(edges: &Edges) -> Vec<String> {
    let mut next: BTreeMap<&Path, Vec<&Path>> = BTreeMap::new();
    for (from, to) in edges.keys() {
        next.entry(from).or_default().push(to);
    }
    let mut seen: HashSet<&Path> = HashSet::new();
    let mut circles = vec![];
    for &start in next.keys() {
        if seen.contains(start) {
            continue;
        }
        let reached = reached(&next, start);
        let around: Vec<&Path> =
            reached.iter().copied().filter(|file| self::reached(&next, file).contains(start)).collect();
        seen.extend(&around);
        let ways = around.iter().filter_map(|file| way_round(&next, file));
        if let Some(way) = ways.min_by_key(Vec::len) {
            let mut text = String::new();
            for pair in way.windows(2) {
                let names: Vec<&str> =
                    edges[&(pair[0].to_owned(), pair[1].to_owned())].iter().map(String::as_str).collect();
                text += &format!("{} ({}) -> ", pair[0].display(), names.join(", "));
            }
            text += &way[0].display().to_string();
            let others: Vec<String> =
                around.iter().filter(|file| !way.contains(file)).map(|file| file.display().to_string()).collect();
            if !others.is_empty() {
                text += &format!("; also in it: {}", others.join(", "));
            }
            circles.push(text);
        }
    }
    circles
}

/// All files that are used by a file and by those that it uses.
fn reached<'a>(next: &BTreeMap<&'a Path, Vec<&'a Path>>, start: &Path) -> BTreeSet<&'a Path> {
    let mut reached = BTreeSet::new();
    let mut waiting: Vec<&Path> = next.get(start).cloned().unwrap_or_default();
    while let Some(file) = waiting.pop() {
        if reached.insert(file) {
            waiting.extend(next.get(file).into_iter().flatten());
        }
    }
    reached
}

/// The shortest way from a file to itself, both ends included.
fn way_round<'a>(next: &BTreeMap<&'a Path, Vec<&'a Path>>, start: &'a Path) -> Option<Vec<&'a Path>> {
    let mut before: HashMap<&Path, &Path> = HashMap::new();
    let mut waiting = VecDeque::from([start]);
    while let Some(file) = waiting.pop_front() {
        for &to in next.get(file).into_iter().flatten() {
            if to == start {
                let mut way = vec![start, file];
                while let Some(&from) = before.get(way[way.len() - 1]) {
                    way.push(from);
                }
                way.reverse();
                return Some(way);
            }
            before.entry(to).or_insert_with(|| {
                waiting.push_back(to);
                file
            });
        }
    }
    None
}
