//! DO-Conv layers in graphs that still compute their kernels: the product of D and W is found by following the data
//! backwards from a convolution's kernel, and is checked by its values.
//!
//! The authors' layer reshapes W to `[out / groups, in, S]` and sums over S: `einsum('ims,ois->oim', D, W)`, reshaped
//! to the kernel. Exporters write the sum as `Einsum`, or as `MatMul` with axes moved before and after it.

use super::array::Array;
use super::axis_rules;
use super::constant;
use super::import::Importer;
use super::node::Node;
use crate::Tensor;
use crate::doconv::{Composed as Kernels, add_identity, fold};
use crate::network::{Conv2d, DoConv, Pairing};

/// The two kernels of a layer.
pub(super) struct Composed {
    /// The layer by the name of its W, where that has one.
    pub layer: Option<String>,
    /// `[out, in / groups, S]`.
    pub w: Tensor,
    /// `[in, K, S]`: what is trained of D.
    pub d: Tensor,
    /// The constant that is added to it; the identity where it is absent.
    pub d_diag: Option<Tensor>,
    pub d_mul: usize,
}

/// Operators that only rearrange what they read first.
const MOVES: [&str; 8] = ["Identity", "Reshape", "Transpose", "Cast", "CastLike", "Squeeze", "Unsqueeze", "Flatten"];

/// How W or D lies in an operand: the operand's axes in the order wanted, each of extent 1 where it has none.
type Layout = Vec<Option<usize>>;

/// Looks for W and D behind a kernel; nothing if it is not their product.
pub(super) fn recognise(importer: &Importer, name: &str, kernel: &Array, conv: &Conv2d) -> Option<Composed> {
    if conv.taps() == 1 {
        return None;
    }
    let product = behind(importer, name)?.1;
    let operands = [product.input(0)?, product.input(1)?];
    let arrays = [importer.known_value(operands[0])?, importer.known_value(operands[1])?];
    let layouts = layouts(product, arrays[0].dims(), arrays[1].dims());
    layouts.into_iter().find_map(|(d_at, d_layout, w_layout)| {
        let w = arranged(&arrays[1 - d_at], &w_layout)?;
        let d = arranged(&arrays[d_at], &d_layout)?;
        let (&[outer, channels, s], &[d_channels, taps, d_s]) = (w.dims(), d.dims()) else { return None };
        let fits = [channels, d_channels] == [conv.in_channels; 2]
            && taps == conv.taps()
            && s == d_s
            && outer.checked_mul(channels)? == conv.out_channels * conv.channels_per_group();
        if !fits {
            return None;
        }
        let w = Tensor::new([conv.out_channels, conv.channels_per_group(), s], w.to_f32()).ok()?;
        let effective = Tensor::new([conv.in_channels, taps, s], d.to_f32()).ok()?;
        let attributes = DoConv { d_mul: s, pairing: Pairing::Torch };
        let composed = Kernels { w, d: effective, attributes };
        let folded = fold(conv, &composed).ok()?;
        if !close(folded.data(), &kernel.to_f32()) {
            return None;
        }
        let Kernels { w, d: effective, .. } = composed;
        let layer = importer.root(operands[1 - d_at]);
        let layer = [".W", ".weight"].iter().find_map(|part| layer.strip_suffix(part)).map(String::from);
        let (d, d_diag) = parts(importer, operands[d_at], &d_layout, &effective);
        Some(Composed { layer: layer.filter(|layer| !layer.is_empty()), w, d, d_diag, d_mul: s })
    })
}

/// The node behind a value that does more than rearrange, and the nodes in between, the last one first.
fn behind<'a>(importer: &'a Importer, name: &str) -> Option<(Vec<&'a Node>, &'a Node)> {
    let mut moves = vec![];
    let mut node = importer.producer(name)?;
    while MOVES.contains(&node.op()) {
        moves.push(node);
        node = importer.producer(node.input(0)?)?;
    }
    Some((moves, node))
}

/// Ways in which the operands of a sum of products can be D and W: which of them is D, and how both lie in theirs as
/// `[in, K, S]` and `[out / groups, in, S]`.
fn layouts(product: &Node, a: &[usize], b: &[usize]) -> Vec<(usize, Layout, Layout)> {
    let mut found = vec![];
    if product.op() == "Einsum" {
        let Some([a, b, out]) = constant::letters(&product.text("equation", "")) else { return found };
        let both: Vec<char> = a.iter().copied().filter(|letter| b.contains(letter)).collect();
        let summed: Vec<char> = both.iter().copied().filter(|letter| !out.contains(letter)).collect();
        let shared: Vec<char> = both.iter().copied().filter(|letter| out.contains(letter)).collect();
        let (&[s], true) = (summed.as_slice(), shared.len() <= 1) else { return found };
        let operands = [&a, &b];
        let own = |letters: &[char]| -> Vec<char> {
            letters.iter().copied().filter(|letter| !both.contains(letter)).collect()
        };
        let (own_a, own_b) = (own(&a), own(&b));
        let ([x], [y]) = (own_a.as_slice(), own_b.as_slice()) else { return found };
        let at = |letters: &[char], letter: char| letters.iter().position(|own| *own == letter);
        let i = |letters: &[char]| shared.first().and_then(|&letter| at(letters, letter));
        for (d_at, taps, outer) in [(0, *x, *y), (1, *y, *x)] {
            let (d, w) = (operands[d_at], operands[1 - d_at]);
            found.push((d_at, vec![i(d), at(d, taps), at(d, s)], vec![at(w, outer), i(w), at(w, s)]));
        }
    } else if product.op() == "MatMul" {
        let (ra, rb) = (a.len(), b.len());
        if ra < 2 || rb < 2 || ra > 4 || rb > 4 {
            return found;
        }
        // A [.., rows, S] · B [.., S, columns], with the channels as the axis before.
        let (lead_a, lead_b) = (ra.checked_sub(3), rb.checked_sub(3));
        let (rows, columns) = (Some(ra - 2), Some(rb - 1));
        let (s_a, s_b) = (Some(ra - 1), Some(rb - 2));
        if ra <= 3 && rb <= 3 {
            found.push((0, vec![lead_a, rows, s_a], vec![columns, lead_b, s_b]));
            found.push((1, vec![lead_b, columns, s_b], vec![rows, lead_a, s_a]));
        }
        // One matrix of a single row or column for every output channel.
        if ra == 4 && a[2] == 1 {
            found.push((1, vec![lead_b, columns, s_b], vec![Some(0), Some(1), s_a]));
        }
        if rb == 4 && b[3] == 1 {
            found.push((0, vec![lead_a, rows, s_a], vec![Some(0), Some(1), s_b]));
        }
    }
    found
}

/// An array with its axes in the order of a layout; all others must have the extent 1.
fn arranged(array: &Array, layout: &Layout) -> Option<Array> {
    let named: Vec<usize> = layout.iter().flatten().copied().collect();
    if named.iter().any(|&axis| axis >= array.dims().len()) {
        return None;
    }
    let others: Vec<usize> = (0..array.dims().len()).filter(|axis| !named.contains(axis)).collect();
    if others.iter().any(|&axis| array.dims()[axis] != 1) {
        return None;
    }
    let dims: Vec<usize> = layout.iter().map(|axis| axis.map_or(1, |axis| array.dims()[axis])).collect();
    let order: Vec<usize> = others.iter().chain(&named).copied().collect();
    array.permuted(&order).with_dims(dims)
}

/// The effective D as what is trained of it and the constant; where the graph does not add them, the identity is taken
/// for the constant.
fn parts(importer: &Importer, name: &str, layout: &Layout, effective: &Tensor) -> (Tensor, Option<Tensor>) {
    if let Some((d, constant)) = sum(importer, name, layout, effective) {
        return (d, Some(constant));
    }
    let mut d = effective.clone();
    let identity = identity(effective);
    d.data_mut().iter_mut().zip(identity.data()).for_each(|(d, identity)| *d -= identity);
    (d, None)
}

/// The two terms of D, each arranged as their sum is.
fn sum(importer: &Importer, name: &str, layout: &Layout, effective: &Tensor) -> Option<(Tensor, Tensor)> {
    let (moves, add) = behind(importer, name)?;
    if add.op() != "Add" {
        return None;
    }
    let total = importer.known_value(add.output(0)?)?;
    let term = |index: usize| {
        let array = importer.known_value(add.input(index)?)?;
        axis_rules::broadcast(array.dims(), total.dims()).ok().filter(|dims| dims == total.dims())?;
        let mut array = array.broadcast(total.dims());
        for node in moves.iter().rev() {
            let mut inputs = vec![Some(std::sync::Arc::new(array))];
            inputs.extend((1..node.proto.input.len()).map(|index| importer.known_value(node.input(index)?)));
            array = constant::evaluate(node, &inputs)?.ok()?.into_iter().next()?;
        }
        Tensor::new(effective.shape(), arranged(&array, layout)?.to_f32()).ok()
    };
    let (a, b) = (term(0)?, term(1)?);
    let identity = identity(effective);
    Some(if a == identity && b != identity { (b, a) } else { (a, b) })
}

/// The identity of every channel, tiled along S.
fn identity(d: &Tensor) -> Tensor {
    let mut identity = Tensor::zeros(d.shape());
    let (taps, s) = (d.shape()[1], d.shape()[2]);
    add_identity(taps, s, identity.data_mut());
    identity
}

fn close(a: &[f32], b: &[f32]) -> bool {
    let largest = b.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-4 * largest)
}
