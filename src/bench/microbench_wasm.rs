//! No microbenchmarks in browsers: every visitor would download their code, and few would run it.

use std::time::Duration;

use super::Check;
use super::cases::Case;
use crate::{Adapter, Error, Precision, Result};

/// There is none.
pub(super) enum Microbenchmark {}

impl Microbenchmark {
    pub async fn new(_: &Adapter, case: &Case<'_>) -> Result<(Self, f64)> {
        let suite = case.suite.name();
        Err(Error::Unsupported(format!("the suite {suite} is timed by the program `doconv bench`, not in browsers")))
    }

    pub fn macs(&self, _: &Case<'_>) -> Result<u64> {
        match *self {}
    }

    pub fn bytes(&self) -> u64 {
        match *self {}
    }

    pub fn kernels(&self) -> Vec<String> {
        match *self {}
    }

    pub fn precision(&self) -> Precision {
        match *self {}
    }

    pub async fn time(&mut self, _: usize) -> Result<Duration> {
        match *self {}
    }

    pub async fn check(&mut self) -> Result<Check> {
        match *self {}
    }
}
