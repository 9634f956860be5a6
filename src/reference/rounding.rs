//! What single and half precision lose in one operation, and in a sum of products.

use super::Map;
use crate::Precision;

/// How many times the estimated error is still tolerated: estimates are typical errors, not worst cases.
pub(crate) const SAFETY: f64 = 4.0;
/// Half the distance between 1 and the next `f32`.
pub(crate) const UNIT: f64 = 1.0 / (1u64 << 24) as f64;
/// Operations with an error of their own that every result is granted, however short its sum.
pub(super) const OPERATIONS: f64 = 4.0;

/// What half precision adds to the errors of single precision; nothing in single precision.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rounding(Precision);

impl Rounding {
    /// Half the distance between 1 and the next `f16`. Conversions may take either neighbour, so that twice as much is lost at
    /// most.
    const UNIT: f64 = 1.0 / 2048.0;
    /// Of what is stored, whatever its value: numbers below the smallest normal one, 6.1e−5, may be flushed to zero. This is a
    /// quarter of it: an error that is four times as large is tolerated.
    pub(crate) const FLOOR: f64 = 1.0 / 65536.0;

    pub(crate) fn of(precision: Precision) -> Self {
        Self(precision)
    }

    /// Of what is stored, relative to the value.
    pub(crate) fn storing(self) -> f64 {
        self.0.pick([0.0, Self::UNIT, Self::UNIT])
    }

    /// Of every operation in a short sum of products.
    pub(super) fn computing(self) -> f64 {
        self.0.pick([0.0, 0.0, Self::UNIT])
    }

    /// Of a sum of as many products as are added up in half precision, relative to the root of the sum of their squares.
    pub(crate) fn short_sums(self) -> f64 {
        self.computing() * short_sum(Precision::TERMS)
    }

    /// An error after its value was stored.
    pub(crate) fn stored(self, value: &Map, error: Map) -> Map {
        if self.0 == Precision::F32 {
            return error;
        }
        error.zip(value, |error, value| error + self.storing() * value.abs() + Self::FLOOR)
    }

    /// An error with what sums of products are off by for a kernel that was stored and for adding up in half precision.
    /// `squares` gives the sum of the squares of the products, `terms` is how many products are added up at a time; a kernel that
    /// is the product of two was stored twice, and what comes in between, too, where errors of one tap go with others.
    pub(super) fn with_products(
        self,
        error: Map,
        squares: impl FnOnce() -> Map,
        terms: usize,
        factors: Option<usize>,
    ) -> Map {
        if self.0 == Precision::F32 {
            return error;
        }
        let kernel = factors.map_or(1.0, |taps| 2.0 + (taps as f64).sqrt());
        let factor = self.storing() * kernel + self.computing() * short_sum(terms);
        error.zip(&squares(), |error, square| error + factor * square.sqrt())
    }
}

/// The error of a sum of so many products in half precision, in units of rounding. Every addition rounds what was added up so
/// far. Of k products of one sign the squares of these add up to k³/3 squares of a product, whose root is k/√3 times that of the
/// sum of the squares of all products. With both signs it is less.
fn short_sum(terms: usize) -> f64 {
    OPERATIONS + terms.min(Precision::TERMS) as f64 / 3f64.sqrt()
}

/// The typical error of a sum of `terms` products, relative to the sum of their absolute values.
pub(crate) fn error_growth(terms: usize) -> f64 {
    UNIT * (OPERATIONS + (terms as f64).sqrt())
}
