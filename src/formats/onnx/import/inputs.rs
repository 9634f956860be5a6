//! The inputs of a file: which are the network's, with what extents, and which must be known when it is loaded.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::Port;
use super::super::array::Array;
use super::super::proto::tensor_shape_proto::{Dimension, dimension};
use super::super::proto::{TypeProto, type_proto};
use super::super::value::{Run, Stop, Value};
use super::{Importer, sane};
use crate::network::Input;

/// One input of a file.
struct Declared {
    name: String,
    float: bool,
    /// `None` where an extent is free, and its name.
    dims: Option<Vec<Result<usize, String>>>,
}

impl Importer<'_> {
    /// Declares the inputs of the network, and takes those that must be known from what was given.
    pub(super) fn add_inputs(&mut self, given: &BTreeMap<String, Array>, known: &BTreeSet<String>) -> Result<(), Stop> {
        let mut runs = vec![];
        for name in self.file.inputs() {
            let declared = self.declared(name)?;
            let array = given.get(name);
            if !declared.float || known.contains(name) {
                let value = match array {
                    Some(array) if sane(array.dims()) => Value::Known(Arc::new(array.clone())),
                    Some(array) => return Err(format!("input `{name}`: {:?} is too large", array.dims()).into()),
                    None => Value::Missing(name.into()),
                };
                self.values.insert(name.into(), value);
                continue;
            }
            runs.push((declared, array));
        }
        if runs.is_empty() {
            return Err(
                "nothing is left to compute from inputs, which is not supported: all of them must be known when the model is loaded".into()
            );
        }
        let (mut batches, mut given_batches) = (BTreeSet::new(), BTreeSet::new());
        let mut all = vec![];
        for (declared, array) in runs {
            let dims = self.input_dims(&declared, array)?;
            if self.batched {
                if dims.is_empty() {
                    return Err(Stop::Batch(format!("input `{}` has no axes", declared.name)));
                }
                let own = declared.dims.as_ref().and_then(|dims| dims.first()?.as_ref().ok()).copied();
                batches.insert(own);
                given_batches.extend(own.or_else(|| array.and_then(|array| array.dims().first().copied())));
            }
            all.push((declared, dims));
        }
        if batches.len() > 1 || given_batches.len() > 1 {
            return Err(Stop::Batch("the inputs have different first extents".into()));
        }
        self.declared_batch = batches.into_iter().next().flatten();
        self.given_batch = !given_batches.is_empty();
        for (declared, dims) in all {
            self.add_input(declared, dims)?;
        }
        Ok(())
    }

    /// The extents of an input: as declared, and where they are free as given.
    fn input_dims(&self, input: &Declared, given: Option<&Array>) -> Result<Vec<Result<usize, String>>, Stop> {
        let name = &input.name;
        let given = given.map(Array::dims);
        let declared = match (&input.dims, given) {
            (Some(dims), _) => dims.clone(),
            (None, Some(dims)) => dims.iter().map(|&extent| Ok(extent)).collect(),
            (None, None) => return Err(format!("the shape of its input `{name}` is not known; give its array").into()),
        };
        let mut dims = vec![];
        for (axis, extent) in declared.into_iter().enumerate() {
            let given = given.and_then(|given| given.get(axis)).copied();
            let batch = axis == 0 && self.batched;
            dims.push(match (extent, given) {
                (Err(_), Some(given)) => Ok(given),
                (Err(symbol), None) if batch => Err(symbol),
                (Err(symbol), None) => return Err(Stop::Free { input: name.clone(), axis, symbol }),
                (Ok(extent), _) => Ok(extent),
            });
        }
        if let Some(axis) = dims.iter().position(|extent| *extent == Ok(0)) {
            return Err(format!(
                "axis {axis} of its input `{name}` has the extent 0, and empty arrays are not supported"
            )
            .into());
        }
        Ok(dims)
    }

    fn add_input(&mut self, declared: Declared, dims: Vec<Result<usize, String>>) -> Result<(), Stop> {
        let Declared { name, .. } = declared;
        let mut extents: Vec<usize> = dims.into_iter().map(|extent| extent.unwrap_or(1)).collect();
        if self.batched {
            extents[0] = 1;
        }
        if !sane(&extents) {
            return Err(format!("its input `{name}` of shape {extents:?} is too large").into());
        }
        let shape = self.canonical(&extents);
        let node = self.unique(&name);
        let [items, c, h, w] = shape;
        let port = Port { name: name.clone(), dims: extents.clone(), batched: self.batched };
        self.inputs.push((Input { name: node.clone(), shape: [c, h, w], items }, port));
        let origins = Arc::new(BTreeSet::from([name.clone()]));
        self.values.insert(name, Value::Run(Run { node, shape, dims: extents, origins }));
        Ok(())
    }

    fn declared(&self, name: &str) -> Result<Declared, Stop> {
        let input = self.file.graph.input.iter().find(|input| input.name() == name);
        let (float, dims) = match input.and_then(|input| input.r#type.as_ref()) {
            None => (true, None),
            Some(TypeProto { value: Some(type_proto::Value::TensorType(tensor)), .. }) => {
                // FLOAT, FLOAT16, DOUBLE, BFLOAT16.
                let float = matches!(tensor.elem_type(), 0 | 1 | 10 | 11 | 16);
                let dims = tensor.shape.as_ref().map(|shape| shape.dim.iter().map(extent).collect());
                (float, dims)
            }
            Some(_) => return Err(format!("its input `{name}` is no array").into()),
        };
        Ok(Declared { name: name.into(), float, dims })
    }
}

fn extent(dimension: &Dimension) -> Result<usize, String> {
    match &dimension.value {
        Some(dimension::Value::DimValue(value)) => usize::try_from(*value).map_err(|_| String::new()),
        Some(dimension::Value::DimParam(name)) => Err(name.clone()),
        None => Err(String::new()),
    }
}
