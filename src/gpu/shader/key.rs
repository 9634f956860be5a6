//! Shader families and the keys of pipelines: a template, and what it is specialised by.
//!
//! Templates say `{{ stored }}` for the type of numbers in maps and kernels, and put conversions around every load and store.
//! In single precision these are empty, so that the code is that of a template without them. For browsers, `build.rs` has put
//! in what single precision has to say.

use std::fmt;
use std::hash::{Hash, Hasher};

#[cfg(not(target_arch = "wasm32"))]
use minijinja::context;
use minijinja::value::{Value, merge_maps};

use super::ActivationClass;
use super::params::UniformBlock;
#[cfg(not(target_arch = "wasm32"))]
use super::scalar::Scalar;
use super::templates;
use crate::Precision;

/// A shader family: one WGSL template and what is the same for all of its specialisations.
pub struct Kernel {
    /// The family's name in reports, logs and records, such as `conv_tiled`.
    pub name: &'static str,
    /// Its template, a path within `shaders/`.
    pub template: &'static str,
    /// Its uniform block.
    pub params: UniformBlock,
    /// In which precisions there is a shader of its own.
    pub precisions: Precisions,
    /// What the template wants to know besides the constants of a key, as far as it follows from these.
    pub derived: fn(&ShaderKey) -> Value,
    /// Every specialisation that may be chosen, in single precision: what the tests validate and translate.
    #[cfg(not(target_arch = "wasm32"))]
    pub specialisations: fn() -> Vec<ShaderKey>,
}

/// In which precisions a family has shaders of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precisions {
    /// In all: it computes in half precision where that is wanted.
    All,
    /// It computes in single precision, whatever maps and kernels are stored in.
    Stored,
    /// It reads and writes single precision only: gradients, scratch buffers, whatever is no map.
    Single,
    /// It has half precision only: matrix units multiply in it, and add in single precision.
    HalfStored,
}

/// The value of a constant that a template is specialised by.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Constant {
    /// Whether something is so.
    Flag(bool),
    /// How many there are of something.
    Count(u32),
    /// Rows and columns of something.
    Pair([u32; 2]),
    /// Which of several there is.
    Word(&'static str),
}

/// A specialised shader in a precision: the key of a pipeline.
///
/// Sizes of maps are never constants, they come with the parameters, so that a network needs few pipelines.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ShaderKey {
    /// The family.
    pub kernel: &'static Kernel,
    /// Invocations of a workgroup along x and y.
    pub workgroup: [u32; 2],
    /// By name, in the order in which the family says them.
    pub constants: Vec<(&'static str, Constant)>,
    /// In what precision it stores and computes.
    pub precision: Precision,
}

impl Kernel {
    /// A family in single precision without specialisations, to be completed with `..Kernel::DEFAULT`.
    pub const DEFAULT: Kernel = Kernel {
        name: "",
        template: "",
        params: UniformBlock { wgsl: "", bytes: 0 },
        precisions: Precisions::Stored,
        derived: |_| Value::UNDEFINED,
        #[cfg(not(target_arch = "wasm32"))]
        specialisations: Vec::new,
    };

    /// A key without constants, in single precision.
    pub fn key(&'static self, workgroup: [u32; 2]) -> ShaderKey {
        ShaderKey { kernel: self, workgroup, constants: vec![], precision: Precision::F32 }
    }
}

impl PartialEq for Kernel {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Kernel {}

impl Hash for Kernel {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Precisions {
    /// What there is for a precision.
    fn of(self, wanted: Precision) -> Precision {
        match self {
            Self::All => wanted,
            Self::Stored => wanted.without_half_sums(),
            Self::Single => Precision::F32,
            #[cfg(not(target_arch = "wasm32"))]
            Self::HalfStored => Precision::F16Storage,
            #[cfg(target_arch = "wasm32")]
            Self::HalfStored => Precision::F32,
        }
    }
}

impl From<bool> for Constant {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl From<u32> for Constant {
    fn from(count: u32) -> Self {
        Self::Count(count)
    }
}

impl From<[u32; 2]> for Constant {
    fn from(pair: [u32; 2]) -> Self {
        Self::Pair(pair)
    }
}

impl From<&'static str> for Constant {
    fn from(word: &'static str) -> Self {
        Self::Word(word)
    }
}

impl From<ActivationClass> for Constant {
    fn from(class: ActivationClass) -> Self {
        Self::Word(class.name())
    }
}

impl Constant {
    fn value(self) -> Value {
        match self {
            Self::Flag(flag) => flag.into(),
            Self::Count(count) => count.into(),
            Self::Pair(pair) => Value::from_iter(pair),
            Self::Word(word) => word.into(),
        }
    }
}

impl ShaderKey {
    /// The same with one constant more.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Constant>) -> Self {
        self.constants.push((name, value.into()));
        self
    }

    /// The same in what its family has for a precision.
    #[must_use]
    pub fn in_precision(self, wanted: Precision) -> Self {
        Self { precision: self.kernel.precisions.of(wanted), ..self }
    }

    /// A constant that is a number; 0 where there is none of the name.
    pub fn count(&self, name: &str) -> u32 {
        match self.constants.iter().find(|(other, _)| *other == name) {
            Some((_, Constant::Count(count))) => *count,
            _ => 0,
        }
    }

    /// A constant that is a flag; false where there is none of the name.
    pub fn flag(&self, name: &str) -> bool {
        self.constants.iter().any(|&(other, constant)| other == name && constant == Constant::Flag(true))
    }

    /// The complete WGSL module, with entry point `main`.
    pub fn wgsl(&self) -> String {
        let constants = self.constants.iter().map(|&(name, constant)| (name, constant.value()));
        let base = [("params", Value::from(self.kernel.params.wgsl)), ("workgroup", Value::from_iter(self.workgroup))];
        let own = Value::from_pairs(constants.chain(base));
        let derived = (self.kernel.derived)(self);
        let values = if derived.is_undefined() { own } else { merge_maps([own, derived]) };
        let wgsl = templates::render(self.kernel.template, self.with_numbers(values));
        match self.kernel.precisions {
            _ if self.precision == Precision::F32 => wgsl,
            Precisions::HalfStored => format!("enable f16;\nenable wgpu_cooperative_matrix;\n{wgsl}"),
            _ => format!("enable f16;\n{wgsl}"),
        }
    }

    #[cfg(target_arch = "wasm32")]
    fn with_numbers(&self, values: Value) -> Value {
        values
    }

    /// With what templates want to know of a precision.
    #[cfg(not(target_arch = "wasm32"))]
    fn with_numbers(&self, values: Value) -> Value {
        let stored = Scalar::stored_in(self.precision);
        let half_sums = self.precision.has_half_sums();
        let loaded = if half_sums { Scalar::F16 } else { Scalar::F32 };
        // From what is stored to what is computed with, and back; `4` for vectors.
        let conversion = |there: bool, name: &'static str| if there { name } else { "" };
        let half = stored == Scalar::F16;
        let numbers = context! {
            stored => stored.name(),
            widen => conversion(half, "f32"),
            widen4 => conversion(half, "vec4<f32>"),
            narrow => conversion(half, "f16"),
            narrow4 => conversion(half, "vec4<f16>"),
            // The same for the operands of products.
            loaded => loaded.name(),
            load4 => conversion(half && !half_sums, "vec4<f32>"),
            half_sums,
            sum => if half_sums { "part" } else { "sum" },
            block_slices => Precision::TERMS / 4,
        };
        merge_maps([values, numbers])
    }
}

/// Such as `conv_tiled 8x8 slices=2 lanes=4 split=false activation=bounds f16`: what errors, reports and the on-disk cache call it.
impl fmt::Display for ShaderKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [x, y] = self.workgroup;
        write!(f, "{} {x}x{y}", self.kernel.name)?;
        for (name, constant) in &self.constants {
            match constant {
                Constant::Flag(flag) => write!(f, " {name}={flag}")?,
                Constant::Count(count) => write!(f, " {name}={count}")?,
                Constant::Pair([rows, columns]) => write!(f, " {name}={rows}x{columns}")?,
                Constant::Word(word) => write!(f, " {name}={word}")?,
            }
        }
        write!(f, " {}", self.precision.name())
    }
}

impl fmt::Debug for ShaderKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
